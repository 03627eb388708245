"""Time, memory and FLOPs of heads, models, encoder and training loop, beside baselines of other libraries."""
