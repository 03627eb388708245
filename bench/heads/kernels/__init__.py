"""Losses and look-ups over a large vocabulary that never hold an [N, V] matrix; heads call them."""
