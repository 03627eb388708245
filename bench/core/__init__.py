"""Errors, settings, records on disk, process control; knows no language models."""
