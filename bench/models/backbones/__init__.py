"""Ids or embeddings of the words so far -> hidden states. B streams, T steps, H hidden size."""
