"""Cross-entropy of a linear layer in bounded memory: gradients are computed in the forward pass, chunk by chunk.

There are three matrix products, as in the unfused layer, but no [N, V] matrix. The logits of a chunk of tokens are
computed, and turned into their gradient, in slabs of words that fit the cache of a core. A slab has one row per word,
[v, n], so that no product has to transpose rows of `weight`, which are many more than the tokens.
N positions, H hidden size, V vocabulary size, n tokens per chunk, v words per slab.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

MIN_CHUNK_TOKENS = 128  # tokens per chunk in float32, at least: products of fewer rows are slow

SMALL_CELLS = 2**21  # logits n · V of a chunk that are always affordable: a small vocabulary gets more tokens per chunk

CACHED_CELLS = 2**18  # logits n · v per CPU thread in one slab: 1 MiB of float32, the cache of a core

MAX_SUM = 1e30  # of a position's exponentials; above, they are computed again with the largest logit as shift


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, words: Tensor, *, ignore_index: int = -100
) -> Tensor:
    """Compute `F.cross_entropy(F.linear(hidden, weight, bias), words, ignore_index=ignore_index)` in bounded memory.

    Under autocast, products are in autocast's type; sums, exponentials and gradients are in float32.

    Args:
        hidden: [N, H].
        weight: [V, H].
        bias: [V], or None.
        words: ids of the true words. [N]
        ignore_index: positions with this id do not count; the loss is NaN if no other position is left.

    Returns:
        Mean loss in nats. []
    """
    return LinearCrossEntropy.apply(hidden, weight, bias, words, ignore_index, torch.is_grad_enabled())


class LinearCrossEntropy(torch.autograd.Function):
    """Compute the gradients together with the loss: a separate backward pass would compute the logits again."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, words: Tensor, ignored: int, grad_enabled: bool
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias, words)
        ctx.settings = ignored, product_dtype(hidden)
        required = [grad_enabled and needed for needed in ctx.needs_input_grad[:3]]
        loss, ctx.gradients = loss_and_gradients(hidden, weight, bias, words, *ctx.settings, required)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None  # no reference is kept, so autograd takes them without a copy
        if gradients is None:  # second backward pass of a retained graph
            _, gradients = loss_and_gradients(*ctx.saved_tensors, *ctx.settings, ctx.needs_input_grad[:3])
        return *scale_gradients(gradients, upstream), None, None, None


def scale_gradients(gradients: list[Tensor | None], upstream: Tensor) -> list[Tensor | None]:
    """Multiply gradients in place by the upstream gradient []; no pass over memory if it is 1, the usual case."""
    return gradients if upstream == 1 else [x if x is None else x.mul_(upstream) for x in gradients]


def product_dtype(hidden: Tensor) -> torch.dtype:
    """Return the type of matrix products: autocast's type if autocast is on, otherwise that of the hidden states."""
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def split_range(size: int, step: int) -> list[slice]:
    """Split range(size) into consecutive slices of about equal length, at most `step` each."""
    parts = -(-size // step)
    return [slice(size * part // parts, size * (part + 1) // parts) for part in range(parts)]


def chunk_tokens(hidden: Tensor, size: int, product: torch.dtype) -> int:
    """Return the tokens per chunk for a vocabulary of `size` words; 16-bit logits allow twice as many tokens."""
    least = max(MIN_CHUNK_TOKENS, hidden.shape[1] // 2) * max(1, 4 // product.itemsize)
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
        torch.addmm(total, left, right, out=total)  # not addmm_: torch does not count its FLOPs


@torch.no_grad()
def loss_and_gradients(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    words: Tensor,
    ignored: int,
    product: torch.dtype,
    required: list[bool],
) -> tuple[Tensor, list[Tensor | None]]:
    """Compute the mean loss [] and its gradients for hidden states [N, H], weight [V, H] and bias [V].

    `product` is the type of matrix products; a gradient is None if its entry of `required` is False.
    """
    inputs, exact = [hidden, weight, bias], torch.float64 if hidden.dtype == torch.float64 else torch.float32
    # not zeroed: the first write overwrites
    gradients = [torch.empty_like(x, dtype=exact) if need else None for x, need in zip(inputs, required, strict=True)]
    counted = words != ignored
    share = counted / counted.sum().to(exact)  # [N] share in the mean; NaN if no position counts, as in torch
    true = words.where(counted, 0)
    with torch.autocast(hidden.device.type, enabled=False):
        states, table = hidden.to(product), weight.to(product)
        offsets = weight.new_zeros(len(weight), dtype=exact) if bias is None else bias.to(exact)
        tokens = chunk_tokens(hidden, len(weight), product)
        stored = torch.bfloat16 if product == torch.bfloat16 else exact  # float16 would overflow
        buffer = torch.empty(tokens * len(weight), dtype=stored, device=hidden.device)
        loss = share.new_zeros(())
        for span in split_range(len(hidden), tokens):
            n, chunk = span.stop - span.start, states[span]
            slabs = vocabulary_slabs(n, len(weight), hidden.device)
            blocks = [buffer[n * slab.start : n * slab.stop].view(-1, n) for slab in slabs]
            sums, nats = fill_exponentials(chunk, table, offsets, true[span], slabs, blocks)
            loss += (nats * share[span]).sum()
            if any(required):
                add_gradients(chunk, table, true[span], share[span], sums, slabs, blocks, gradients, span)
    dtypes = [None if x is None else x.dtype for x in inputs]
    return loss, [x if x is None else x.to(dtype) for x, dtype in zip(gradients, dtypes, strict=True)]


def fill_exponentials(
    chunk: Tensor, table: Tensor, offsets: Tensor, words: Tensor, slabs: list[slice], blocks: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Fill the blocks [v, n] with exp(logit − shift); return the sums over words [n] and −log p(true word) [n].

    The shift is the true word's logit, which saves a pass for the maximum; if the sum overflows, it is the maximum.
    Shapes: chunk [n, H], table [V, H], offsets [V], words [n].
    """
    # rounded to the product's type, as the logit in the block is
    true = (chunk.to(offsets.dtype) * table[words]).sum(1).to(chunk.dtype) + offsets[words]

    def fill(shift: Tensor) -> Tensor:
        sums = torch.zeros_like(shift)
        for slab, block in zip(slabs, blocks, strict=True):
            exact = block if block.dtype == shift.dtype else torch.empty_like(block, dtype=shift.dtype)
            torch.sub(offsets[slab, None], shift, out=exact)
            add_product(exact, table[slab], chunk.T)
            sums += exact.exp_().sum(0)
            if exact is not block:
                block.copy_(exact)
        return sums

    sums = fill(true)
    if (sums < MAX_SUM).all():
        return sums, sums.log()
    maxima = [(table[slab] @ chunk.T + offsets[slab, None]).amax(0) for slab in slabs]
    shift = torch.stack(maxima).amax(0)
    sums = fill(shift)
    return sums, sums.log() + shift - true


def add_gradients(
    chunk: Tensor,
    table: Tensor,
    words: Tensor,
    share: Tensor,
    sums: Tensor,
    slabs: list[slice],
    blocks: list[Tensor],
    gradients: list[Tensor | None],
    span: slice,
) -> None:
    """Add the gradients of a chunk, the positions `span`, to those of hidden states [N, H], weight [V, H], bias [V].

    The blocks [v, n] hold exp(logit − shift) and are overwritten.
    Shapes: chunk [n, H], table [V, H], words [n], share [n], sums [n].
    """
    hidden_gradient, weight_gradient, bias_gradient = gradients
    scale, first = share / sums, span.start == 0
    for slab, block in zip(slabs, blocks, strict=True):
        block.mul_(scale)  # p · share: the gradient of the logits, without the −share of the true word
        if bias_gradient is not None:
            summed = block.sum(1, dtype=bias_gradient.dtype)
            bias_gradient[slab] = summed if first else bias_gradient[slab] + summed
        slope = block.to(chunk.dtype)
        if hidden_gradient is not None:
            add_product(hidden_gradient[span], slope.T, table[slab], overwrite=slab.start == 0)
        if weight_gradient is not None:
            add_product(weight_gradient[slab], slope, chunk, overwrite=first)
    if hidden_gradient is not None:
        hidden_gradient[span] -= share[:, None] * table[words]
    if weight_gradient is not None:
        weight_gradient.index_add_(0, words, -share[:, None] * chunk)
    if bias_gradient is not None:
        bias_gradient.index_add_(0, words, -share)
