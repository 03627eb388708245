"""Words -> contextual vectors of a BERT-family encoder -> target tables."""
