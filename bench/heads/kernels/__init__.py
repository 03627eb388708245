"""Losses and searches over a large vocabulary that hold no [N, V] matrix, and special functions; called by heads."""
