"""Probe a loaded model for what its outputs depend on, by reading rows that differ in one respect.

T positions of a row, D columns of an output.
"""

from collections.abc import Callable

import torch
from torch import Tensor

TWO_FUTURES = torch.tensor(
    [[0, 1, 2, 3, 4, 5, 6, 7], [0, 8, 9, 10, 11, 12, 13, 14]]
)  # equal at the first position alone


@torch.inference_mode()
def effect_of_later_positions(read: Callable[[Tensor], Tensor], pieces: int) -> tuple[float, float]:
    """Return how much the output at the first position changes with later positions, and how large the output is.

    Args:
        read: piece ids [2, T] -> outputs [2, T, D].
        pieces: number of piece ids.

    Returns:
        The largest absolute difference and the largest absolute value, over D columns.
    """
    one, other = read(TWO_FUTURES % pieces)[:, 0].float()
    return float((one - other).abs().max()), float(one.abs().max())


@torch.inference_mode()
def sees_padding(read: Callable[[Tensor, Tensor], Tensor], pieces: int, pad_id: int) -> bool:
    """True if outputs depend on masked padding, as with FNet, which has no mask, and ConvBERT, which convolves.

    Args:
        read: piece ids [1, T] and mask [1, T] -> outputs [1, T, D].
        pieces: number of piece ids.
        pad_id: id of the padding.
    """
    row = torch.arange(8, 16) % pieces
    padded = torch.cat([row, torch.full((4,), pad_id)])
    real = torch.arange(len(padded)) < len(row)
    alone, beside = read(row[None], real[None, : len(row)]), read(padded[None], real[None])
    rounding = torch.finfo(alone.dtype).eps ** 0.5
    alone, beside = alone.float(), beside[:, : len(row)].float()
    return bool((alone - beside).abs().max() > rounding * alone.abs().max())
