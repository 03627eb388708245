"""Text -> documents -> words and subwords -> batches."""
