"""Loss of a linear layer and its gradients on a CPU with bfloat16 hardware, where passes over logits cost most.

Three matrix products and one pass, the exponential, suffice. Rows and hidden states have six more columns, so that the
first product also adds the offset of the word and subtracts the shift of the position; the second product also sums the
exponentials over words, and the third also gives the gradient for the offsets.
N positions, H hidden size, V vocabulary size, n positions per chunk, v words per slab, K columns.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.heads.kernels.chunked_gradients import (
    MAX_SUM,
    Gradients,
    Layer,
    empty_gradients,
    round_up,
    split_range,
    subtract_true_words,
)
from bench.heads.kernels.huge_pages import empty_in_huge_pages

LEAST_TOKENS = 512  # positions per chunk, at least: each chunk reads and writes the gradient of the weight once

CHUNK_CELLS = 2**25  # exponentials n · V of a chunk, unless the least number of positions has more: 64 MiB

SLAB_CELLS = 2**22  # exponentials n · v of a slab

PARTS = 3  # bfloat16 numbers whose sum has the 24 significant bits of float32

MULTIPLE = 32  # of K: products of other numbers of columns are slow


def gradients_in_bfloat16(layer: Layer, required: list[bool]) -> tuple[Tensor, Gradients]:
    """Compute the mean loss [] and the required gradients, in float32."""
    hidden, weight, offsets, words, share, _ = layer
    size, width = weight.shape
    rows = extend(weight, in_parts(offsets), torch.ones(PARTS))  # [V, K]
    states, true_rows = hidden.bfloat16(), rows[words, :width].float()
    true = (states.float() * true_rows).sum(1) + offsets[words]  # [N]
    gradients = hidden_gradient, weight_gradient, offset_gradient = empty_gradients(layer, required)
    tokens = min(len(hidden), max(LEAST_TOKENS, CHUNK_CELLS // size))
    buffer = empty_in_huge_pages((tokens * size,), torch.bfloat16, hidden.device)
    loss = share.new_zeros(())
    for span in split_range(len(hidden), tokens):
        first, n = span.start == 0, span.stop - span.start
        slabs, exponentials = split_range(size, max(1, SLAB_CELLS // n)), buffer[: n * size].view(size, n)
        expected, shift = fill_exponentials(states[span], rows, slabs, exponentials, true[span])
        sums = expected[width + PARTS]  # of exponential · 1. [n]
        loss += ((sums.log() + shift - true[span]) * share[span]).sum()
        scale = share[span] / sums
        if hidden_gradient is not None:
            torch.mul(expected[:width].T, scale[:, None], out=hidden_gradient[span])
            hidden_gradient[span].sub_(share[span, None] * true_rows[span])
        scaled = extend(states[span] * scale[:, None], scale[:, None])  # [n, K]
        for slab in slabs if any(required[1:]) else ():
            summed = exponentials[slab] @ scaled  # [v, K]
            for gradient, part in ((weight_gradient, summed[:, :width]), (offset_gradient, summed[:, width])):
                if gradient is not None:
                    gradient[slab].copy_(part) if first else gradient[slab].add_(part)
    subtract_true_words(gradients, layer, states)
    return loss, gradients


def fill_exponentials(
    states: Tensor, rows: Tensor, slabs: list[slice], exponentials: Tensor, true: Tensor
) -> tuple[Tensor, Tensor]:
    """Fill `exponentials` [V, n] with exp(logit − shift); return Σ exponential · row [K, n] and the shift [n].

    The shift is the true word's logit; if a sum of exponentials overflows, it is the largest logit.

    Args:
        states: [n, H].
        rows: rows of the weight, parts of the offset, ones. [V, K]
        true: logits of the true words. [n]
    """

    def logits(shift: Tensor) -> Iterator[tuple[slice, Tensor]]:
        columns = extend(states, torch.ones(PARTS), in_parts(-shift)).T.contiguous()  # [K, n]
        return ((slab, torch.mm(rows[slab], columns, out=exponentials[slab])) for slab in slabs)

    def fill(shift: Tensor) -> Tensor:
        expected = true.new_zeros(rows.shape[1], len(states))
        for slab, differences in logits(shift):
            expected += rows[slab].T @ differences.exp_()
        return expected

    expected = fill(true)
    if (expected[states.shape[1] + PARTS] < MAX_SUM).all():
        return expected, true
    largest = torch.stack([each.amax(0).float() for _, each in logits(torch.zeros_like(true))]).amax(0)
    return fill(largest), largest


def extend(matrix: Tensor, *columns: Tensor) -> Tensor:
    """Append columns to a matrix, then zeros up to a multiple of `MULTIPLE` columns. [m, H] -> [m, K] bfloat16"""
    width = matrix.shape[1]
    extended = matrix.new_zeros((len(matrix), round_up(width + 2 * PARTS, MULTIPLE)), dtype=torch.bfloat16)
    extended[:, :width] = matrix
    for more in columns:
        extended[:, width : width + more.shape[-1]] = more
        width += more.shape[-1]
    return extended


def in_parts(numbers: Tensor) -> Tensor:
    """Split float32 numbers into bfloat16 parts whose sum equals the number. [m] -> [m, PARTS] float32"""
    parts, rest = [], numbers
    for _ in range(PARTS):
        parts.append(rest.bfloat16().float())
        rest = rest - parts[-1]
    return torch.stack(parts, 1)
