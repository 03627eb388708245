"""Cross-entropy of a linear layer in bounded memory: gradients are formed in the forward pass, a few tokens at a time.

Three matrix products, as the plain layer, but no [N, V] matrix: what a chunk of tokens has of it is made, and turned
into the gradient of its logits, in slabs of words that a core's cache holds. A slab is a row a word, [v, n]: then none
of the products has to turn the rows of `weight` first, of which there are many more than tokens.
N positions, H hidden size, V vocabulary size, n tokens of a chunk, v words of a slab.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LEAST_TOKENS = 128  # of a chunk in float32: fewer make the products slow

SMALL_CELLS = 2**21  # n · V that may always be held: of a small vocabulary a chunk has more tokens

CACHED_CELLS = 2**18  # n · v on a CPU, for each thread: 1 MiB of float32, a core's cache

LARGEST_SUM = 1e30  # of exponentials


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, words: Tensor, *, ignore_index: int = -100
) -> Tensor:
    """`F.cross_entropy(F.linear(hidden, weight, bias), words)`. [N, H], [V, H], [V], [N] -> []

    Under autocast products are in its type; sums, exponentials and gradients are in float32.
    """
    return LinearCrossEntropy.apply(hidden, weight, bias, words, ignore_index, torch.is_grad_enabled())


class LinearCrossEntropy(torch.autograd.Function):
    """Makes the gradients with the loss, for a backward pass of their own would need the logits once more."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, words: Tensor, ignored: int, learning: bool
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias, words)
        ctx.settings = ignored, product_type(hidden)
        wanted = [learning and need for need in ctx.needs_input_grad[:3]]
        loss, ctx.gradients = loss_and_gradients(hidden, weight, bias, words, *ctx.settings, wanted)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None  # let go of, so that autograd takes them without a copy
        if gradients is None:  # again, through a graph that was retained
            _, gradients = loss_and_gradients(*ctx.saved_tensors, *ctx.settings, ctx.needs_input_grad[:3])
        return *scaled(gradients, upstream), None, None, None


def scaled(gradients: list[Tensor | None], upstream: Tensor) -> list[Tensor | None]:
    """Gradients of the loss -> of what was made of it; as a rule that is the loss itself, and a pass is saved."""
    return gradients if upstream == 1 else [each if each is None else each.mul_(upstream) for each in gradients]


def product_type(hidden: Tensor) -> torch.dtype:
    """What matrix products are made in: autocast's type where it is on."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def spans(size: int, step: int) -> list[slice]:
    """Consecutive parts of about equal length, none longer than `step`."""
    parts = -(-size // step)
    return [slice(size * part // parts, size * (part + 1) // parts) for part in range(parts)]


def chunk_tokens(hidden: Tensor, size: int, product: torch.dtype) -> int:
    """How many tokens a chunk has: a power of two, for memory by the bytes of what is kept of each."""
    least = max(LEAST_TOKENS, hidden.shape[1] // 2) * max(1, 4 // product.itemsize)
    return min(len(hidden), max(least, 2 ** int(math.log2(max(1, SMALL_CELLS // size)))))


def slabs_of(tokens: int, size: int, device: torch.device) -> list[slice]:
    """Parts of the vocabulary whose cells for so many tokens a CPU's cache holds; a GPU wants one large product."""
    cells = CACHED_CELLS * torch.get_num_threads() if device.type == "cpu" else tokens * size
    return spans(size, max(1, cells // tokens))


def add_product(into: Tensor, one: Tensor, other: Tensor, *, fresh: bool = False) -> None:
    """into += one @ other, or = where `fresh`, summed in the type of `into`."""
    if into.dtype != one.dtype:
        into.copy_(one @ other) if fresh else into.add_(one @ other)
    elif fresh:
        torch.mm(one, other, out=into)
    else:
        torch.addmm(into, one, other, out=into)  # addmm_ would do, but torch does not count its FLOPs


@torch.no_grad()
def loss_and_gradients(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    words: Tensor,
    ignored: int,
    product: torch.dtype,
    wanted: list[bool],
) -> tuple[Tensor, list[Tensor | None]]:
    """The mean over the positions that are not ignored, and its gradients for hidden states, weight and bias."""
    given, exact = [hidden, weight, bias], torch.float64 if hidden.dtype == torch.float64 else torch.float32
    # not zeroed: the first to write there does not add
    gradients = [torch.empty_like(x, dtype=exact) if want else None for x, want in zip(given, wanted, strict=True)]
    kept = words != ignored
    share = kept / kept.sum().to(exact)  # of each position in the mean; NaN where there is none, as in torch
    true = words.where(kept, 0)
    with torch.autocast(hidden.device.type, enabled=False):
        rows, columns = hidden.to(product), weight.to(product)
        offsets = weight.new_zeros(len(weight), dtype=exact) if bias is None else bias.to(exact)
        tokens = chunk_tokens(hidden, len(weight), product)
        kept_as = torch.bfloat16 if product == torch.bfloat16 else exact  # float16 cannot hold every exponential
        buffer = torch.empty(tokens * len(weight), dtype=kept_as, device=hidden.device)
        loss = share.new_zeros(())
        for at in spans(len(hidden), tokens):
            n, some = at.stop - at.start, rows[at]
            slabs = slabs_of(n, len(weight), hidden.device)
            blocks = [buffer[n * slab.start : n * slab.stop].view(-1, n) for slab in slabs]
            sums, nats = exponentials(some, columns, offsets, true[at], slabs, blocks)
            loss += (nats * share[at]).sum()
            if any(wanted):
                descend(some, columns, true[at], share[at], sums, slabs, blocks, gradients, at)
    types = [None if x is None else x.dtype for x in given]
    return loss, [g if g is None else g.to(kind) for g, kind in zip(gradients, types, strict=True)]


def exponentials(
    rows: Tensor, columns: Tensor, offsets: Tensor, words: Tensor, slabs: list[slice], blocks: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Fills the blocks [v, n] with exp(logit − shift): their sums, and −log p of the true words. [n], [n]

    The shift is the true word's logit, so no pass looks for the largest; where that overflows, it is the largest.
    """
    true = (rows.to(offsets.dtype) * columns[words]).sum(1).to(rows.dtype) + offsets[words]  # as the product rounds it

    def fill(shift: Tensor) -> Tensor:
        sums = torch.zeros_like(shift)
        for slab, block in zip(slabs, blocks, strict=True):
            exact = block if block.dtype == shift.dtype else torch.empty_like(block, dtype=shift.dtype)
            torch.sub(offsets[slab, None], shift, out=exact)
            add_product(exact, columns[slab], rows.T)
            sums += exact.exp_().sum(0)
            if exact is not block:
                block.copy_(exact)
        return sums

    sums = fill(true)
    if (sums < LARGEST_SUM).all():
        return sums, sums.log()
    tops = [(columns[slab] @ rows.T + offsets[slab, None]).amax(0) for slab in slabs]
    shift = torch.stack(tops).amax(0)
    sums = fill(shift)
    return sums, sums.log() + shift - true


def descend(
    rows: Tensor,
    columns: Tensor,
    words: Tensor,
    share: Tensor,
    sums: Tensor,
    slabs: list[slice],
    blocks: list[Tensor],
    gradients: list[Tensor | None],
    at: slice,
) -> None:
    """Adds a chunk's gradients to those of hidden states [N, H], weight [V, H] and bias [V]."""
    of_hidden, of_weight, of_bias = gradients
    scale, first = share / sums, at.start == 0
    for slab, block in zip(slabs, blocks, strict=True):
        block.mul_(scale)  # p · share, the gradient of the logits but for the true word's
        if of_bias is not None:
            here = block.sum(1, dtype=of_bias.dtype)
            of_bias[slab] = here if first else of_bias[slab] + here
        slope = block.to(rows.dtype)
        if of_hidden is not None:
            add_product(of_hidden[at], slope.T, columns[slab], fresh=slab.start == 0)
        if of_weight is not None:
            add_product(of_weight[slab], slope, rows, fresh=first)
    if of_hidden is not None:
        of_hidden[at] -= share[:, None] * columns[words]
    if of_weight is not None:
        of_weight.index_add_(0, words, -share[:, None] * rows)
    if of_bias is not None:
        of_bias.index_add_(0, words, -share)
