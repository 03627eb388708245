"""Backbones, word model, n-gram, causal LM, the speller and their optimiser."""
