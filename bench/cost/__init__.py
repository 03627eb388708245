"""Cost of every head as V grows, beside the implementations that a user would pick: one ledger per V."""
