"""What every output head costs as the vocabulary grows, one file a vocabulary size."""
