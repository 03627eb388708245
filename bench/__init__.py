"""Output heads for word-level language models, side by side on the same text."""
