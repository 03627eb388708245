"""Loss of a linear layer and its gradients, a chunk of positions at a time, with three matrix products.

The exponentials of a chunk's logits [V, n] are the only large intermediate result. They are computed in slabs of words
that fit the cache of a core. There a slab is summed over words, and multiplied with its rows, before the next slab is
computed. A slab has one row per word, [v, n], so that no product has to transpose rows of the weight, which are many
more than the positions.
N positions, H hidden size, V vocabulary size, n positions per chunk, v words per slab.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from bench.heads.kernels.huge_pages import empty_in_huge_pages

MIN_CHUNK_TOKENS = 128  # positions per chunk in float32, at least: products of fewer rows are slow

SMALL_CELLS = 2**21  # logits n · V of a chunk that are always affordable: a small vocabulary gets larger chunks

CACHED_CELLS = 2**19  # logits n · v per CPU thread in one slab: 2 MiB of float32, the second-level cache of a core

# Positions per chunk are a multiple of this number: rows of exponentials then begin at multiples of 64 bytes. With 187
# positions the first product takes 1.7 times as long per position as with 192 (one core of an AMD EPYC).
ALIGNED = 16

MAX_SUM = 1e30  # of a position's exponentials; above, they are computed again with the largest logit as shift

Gradients = list[Tensor | None]  # for hidden states [N, H], weight [V, H], bias [V]; None if it is not required


class Layer(NamedTuple):
    """A linear layer, its inputs and the true words."""

    hidden: Tensor  # [N, H]
    weight: Tensor  # [V, H]
    offsets: Tensor  # added to the logits. [V] float32 or float64, as all sums
    words: Tensor  # ids of the true words; any id where a position does not count. [N]
    share: Tensor  # share of a position in the mean loss. [N]
    product: torch.dtype  # of the matrix products


def split_range(size: int, step: int) -> list[slice]:
    """Split range(size) into consecutive slices of about equal length, at most `step` each."""
    parts = -(-size // step)
    return [slice(size * part // parts, size * (part + 1) // parts) for part in range(parts)]


def round_up(number: int, multiple: int) -> int:
    """Return the smallest multiple that is not below the number."""
    return -(-number // multiple) * multiple


def split_positions(count: int, tokens: int) -> list[slice]:
    """Split range(count) into slices of about `tokens` positions; each but the last has a multiple of `ALIGNED`."""
    parts = max(1, round(count / tokens))
    step = round_up(math.ceil(count / parts), ALIGNED)
    return [slice(begin, min(begin + step, count)) for begin in range(0, count, step)]


def chunk_tokens(hidden: Tensor, size: int, product: torch.dtype) -> int:
    """Return about how many positions a chunk has at V = `size`; 16-bit logits allow twice as many."""
    least = max(MIN_CHUNK_TOKENS, hidden.shape[1]) * max(1, 4 // product.itemsize)
    return min(len(hidden), max(least, 2 ** int(math.log2(max(1, SMALL_CELLS // size)))))


def vocabulary_slabs(tokens: int, size: int, device: torch.device) -> list[slice]:
    """Split the vocabulary so that a slab's logits fit the CPU's cache; a GPU is faster with one large product."""
    cells = CACHED_CELLS * torch.get_num_threads() if device.type == "cpu" else tokens * size
    return split_range(size, max(1, cells // tokens))


def add_product(total: Tensor, left: Tensor, right: Tensor, *, overwrite: bool = False) -> None:
    """Compute total += left @ right, or total = left @ right if `overwrite`; the sum is in the type of `total`."""
    if total.dtype != left.dtype:
        total.copy_(left @ right) if overwrite else total.add_(left @ right)
    elif overwrite:
        torch.mm(left, right, out=total)
    else:
        torch.addmm(total, left, right, out=total)


def gradients_by_chunks(layer: Layer, required: list[bool]) -> tuple[Tensor, Gradients]:
    """Compute the mean loss [] and the required gradients."""
    hidden, weight, offsets, words, share, product = layer
    exact, size = offsets.dtype, len(weight)
    stored = torch.bfloat16 if product == torch.bfloat16 else exact  # of exponentials; float16 would overflow
    states, table = hidden.to(product), weight.to(product)
    slope_states, slope_table = (states, table) if product == stored else (hidden.to(stored), weight.to(stored))
    gradients = hidden_gradient, weight_gradient, bias_gradient = empty_gradients(layer, required)
    spans = split_positions(len(hidden), chunk_tokens(hidden, size, product))
    buffer = empty_in_huge_pages((size, round_up(spans[0].stop, ALIGNED)), stored, hidden.device)
    loss = share.new_zeros(())
    for span in spans:
        first, n = span.start == 0, span.stop - span.start
        slabs, exponentials = vocabulary_slabs(n, size, hidden.device), buffer[:, :n]
        part = Layer(states[span], table, offsets, words[span], share[span], product)
        expected = None if hidden_gradient is None else hidden_gradient[span]
        sums, nats = fill_exponentials(part, slabs, exponentials, slope_table, expected)
        loss += (nats * part.share).sum()
        scale = part.share / sums
        if expected is not None:  # holds Σ exp(logit − shift) · row
            expected.mul_(scale[:, None]).sub_(part.share[:, None] * table[part.words])
        if weight_gradient is not None:
            scaled = (slope_states[span] * scale[:, None]).to(stored)  # [n, H]
            for slab in slabs:
                add_product(weight_gradient[slab], exponentials[slab], scaled, overwrite=first)
        if bias_gradient is not None:
            for slab in slabs:
                summed = torch.mv(exponentials[slab], scale.to(stored)).to(exact)
                bias_gradient[slab] = summed if first else bias_gradient[slab] + summed
    subtract_true_words(gradients, layer, states)
    return loss, gradients


def empty_gradients(layer: Layer, required: list[bool]) -> Gradients:
    """Allocate the required gradients; they are not zeroed, since the first write overwrites."""
    inputs = zip((layer.hidden, layer.weight, layer.offsets), required, strict=True)
    return [empty_in_huge_pages(x.shape, layer.offsets.dtype, x.device) if need else None for x, need in inputs]


def subtract_true_words(gradients: Gradients, layer: Layer, states: Tensor) -> None:
    """Subtract the true words' part from the gradients for weight and bias, in place.

    Args:
        states: hidden states in the type of the products. [N, H]
    """
    _, weight_gradient, bias_gradient = gradients
    if weight_gradient is not None:
        weight_gradient.index_add_(0, layer.words, -layer.share[:, None] * states)
    if bias_gradient is not None:
        bias_gradient.index_add_(0, layer.words, -layer.share)


def fill_exponentials(
    layer: Layer, slabs: list[slice], exponentials: Tensor, table: Tensor, expected: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Fill `exponentials` [V, n] with exp(logit − shift); return the sums over words [n] and −log p(true word) [n].

    The shift is the true word's logit, which saves a pass for the maximum; if the sum overflows, it is the maximum.

    Args:
        layer: n positions.
        table: the weight in the type of the exponentials. [V, H]
        expected: overwritten with the sum over words of exponential · row. [n, H], or None
    """
    states, offsets = layer.hidden, layer.offsets
    # rounded to the product's type, as the logits are
    true = (states.to(offsets.dtype) * layer.weight[layer.words]).sum(1).to(states.dtype) + offsets[layer.words]

    def fill(shift: Tensor) -> Tensor:
        sums = torch.zeros_like(shift)
        for slab in slabs:
            block = exponentials[slab]
            exact = block if block.dtype == shift.dtype else torch.empty_like(block, dtype=shift.dtype)
            torch.sub(offsets[slab, None], shift, out=exact)
            add_product(exact, layer.weight[slab], states.T)
            sums += exact.exp_().sum(0)
            if exact is not block:
                block.copy_(exact)
            if expected is not None:
                add_product(expected, block.T, table[slab], overwrite=slab.start == 0)
        return sums

    sums = fill(true)
    if (sums < MAX_SUM).all():
        return sums, sums.log()
    maxima = [(layer.weight[slab] @ states.T + offsets[slab, None]).amax(0) for slab in slabs]
    shift = torch.stack(maxima).amax(0)
    sums = fill(shift)
    return sums, sums.log() + shift - true
