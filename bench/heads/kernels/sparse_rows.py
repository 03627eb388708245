"""Row-sparse gradients of embedding-like parameters. V rows of a parameter, R of them with a gradient."""

import torch
from torch import Tensor


def row_gradient(ids: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """Return a sparse gradient of the shape of `like` [V, ...] with `values` [R, ...] at the rows `ids` [R].

    The ids must be distinct and ascending; they are not checked.
    """
    return torch.sparse_coo_tensor(ids[None], values, like.shape, is_coalesced=True, check_invariants=False)
