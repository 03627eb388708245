"""Row-sparse gradients of embedding-like parameters. R rows touched, V rows of a parameter."""

import torch
from torch import Tensor


def row_gradient(ids: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """Distinct, rising ids and what belongs there -> a sparse gradient. [R], [R, ...], [V, ...] -> [V, ...]"""
    return torch.sparse_coo_tensor(ids[None], values, like.shape, is_coalesced=True, check_invariants=False)
