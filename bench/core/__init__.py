"""Errors, settings, records on disk, process control; independent of language models."""
