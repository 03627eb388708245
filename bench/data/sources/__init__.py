"""Corpora, one file per source."""
