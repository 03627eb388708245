"""Probe a loaded model by reading rows: what its outputs depend on, and whether its output layer is linear.

T positions of a row, D columns of an output.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

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


def has_linear_output(lm: Any) -> bool:
    """True if the logits are exactly the output layer of the last hidden states: no cap, scale or other layer between.

    Few pieces suffice: the comparison is of every bit, and a cap or a scale changes the last bits of some logit.
    """
    output = lm.get_output_embeddings()
    if not isinstance(output, nn.Linear) or lm.base_model is lm:
        return False
    pieces = torch.arange(8, device=lm.device)[None]
    states = getattr(lm.base_model(pieces, use_cache=False), "last_hidden_state", None)
    return states is not None and torch.equal(lm(pieces, use_cache=False).logits, output(states))
