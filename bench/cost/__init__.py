"""What every head costs as V grows, beside the implementations that a user would pick: one file of rows a V."""
