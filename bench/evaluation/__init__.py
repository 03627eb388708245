"""What the trained models say about the test split."""
