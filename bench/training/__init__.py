"""Configuration -> built model -> trained weights."""
