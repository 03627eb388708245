"""Cross-entropy among the true word and shared negatives, whose gradient holds no row but theirs.

What gathers and scatters rows is apart from the loss between, so that another loss over the same logits can have it.
N positions, H hidden size, V vocabulary size, k negatives, R distinct ids among both.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.heads.kernels.linear_cross_entropy import add_product, product_type, scaled
from bench.heads.kernels.sparse_rows import row_gradient

# Logits of the negatives [k + 1, N], whose last row is yet to be written, those of the true words [N], the row of the
# negative that is the true word, k where there is none [N], and whether to learn -> the mean loss, and its gradient for
# the logits, the true word's last [k + 1, N], which may take their memory
Between = Callable[[Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]


def sampled_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    words: Tensor,
    negatives: Tensor,
    true_offset: Tensor,
    offset: Tensor,
    *,
    row_sparse: bool,
) -> Tensor:
    """Mean −log of the true word's share, offsets added to the logits; a negative that is the true word does not count.

    Shapes: [N, H], [V, H], [V], [N], [k] distinct, [N], [k] -> []. Gradients of weight and bias are sparse where
    `row_sparse`.
    """
    given = words, negatives, true_offset, offset
    return SampledLoss.apply(hidden, weight, bias, *given, softmax, row_sparse, torch.is_grad_enabled())


def softmax(logits: Tensor, true: Tensor, hits: Tensor, learning: bool) -> tuple[Tensor, Tensor | None]:
    """−log of the true word's share; a negative that is the true word does not count."""
    logits.scatter_(0, hits[None], -torch.inf)
    logits[-1] = true
    shift = logits.amax(0)
    sums = logits.sub_(shift).exp_().sum(0)
    loss = (sums.log() + shift - true).mean()
    if not learning:
        return loss, None
    slope = logits.div_(sums * len(true))  # p / N
    slope[-1] -= 1 / len(true)
    return loss, slope


class SampledLoss(torch.autograd.Function):
    """Gathers each row once, and makes the gradients with the loss."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, *rest: Any) -> Tensor:
        *given, between, ctx.row_sparse, learning = rest
        ctx.save_for_backward(hidden, weight, bias, *given)
        ctx.settings = product_type(hidden), between
        loss, ctx.gradients, ctx.ids = loss_and_gradients(hidden, weight, bias, *given, *ctx.settings, learning)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:  # again, through a graph that was retained
            _, gradients, _ = loss_and_gradients(*ctx.saved_tensors, *ctx.settings, True)
        of_hidden, *of_rows = scaled(gradients, upstream)
        _, weight, bias, *_ = ctx.saved_tensors
        spread = row_gradient if ctx.row_sparse else dense
        of_layer = [spread(ctx.ids, rows, like) for rows, like in zip(of_rows, (weight, bias), strict=True)]
        return of_hidden, *of_layer, *[None] * 7


def dense(ids: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """[R], [R, ...] -> [V, ...], zero elsewhere."""
    return torch.zeros_like(like).index_copy_(0, ids, values)


@torch.no_grad()
def loss_and_gradients(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    words: Tensor,
    negatives: Tensor,
    true_offset: Tensor,
    offset: Tensor,
    product: torch.dtype,
    between: Between,
    learning: bool,
) -> tuple[Tensor, list[Tensor], Tensor]:
    """The loss; its gradients for hidden states [N, H], touched rows [R, H] and their biases [R]; their ids [R]."""
    (n, _), k = hidden.shape, len(negatives)
    exact = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    with torch.autocast(hidden.device.type, enabled=False):
        ids, slots = torch.unique(torch.cat([words, negatives]), return_inverse=True)
        of_true, of_negative = slots.split([n, k])
        rows, offsets = hidden.to(product), bias.to(exact)
        table = weight.index_select(0, ids).to(product)  # [R, H]
        target, other = table.index_select(0, of_true), table.index_select(0, of_negative)  # [N, H], [k, H]
        logits = torch.empty(k + 1, n, dtype=exact, device=hidden.device)
        logits[:k] = (offsets[negatives] + offset.to(exact))[:, None]
        add_product(logits[:k], other, rows.T)
        row = torch.full_like(ids, k).index_copy_(0, of_negative, torch.arange(k, device=ids.device))
        true = (rows.to(exact) * target).sum(1) + offsets[words] + true_offset.to(exact)
        loss, slope = between(logits, true, row[of_true], learning)
        if slope is None:
            return loss, [], ids
        lean, own = slope[:k].to(product), slope[k]
        of_hidden = (lean.T @ other).to(exact).addcmul_(own[:, None], target.to(exact))
        of_rows = torch.zeros(table.shape, dtype=exact, device=ids.device)
        of_rows.index_copy_(0, of_negative, (lean @ rows).to(exact))
        of_rows.index_add_(0, of_true, own[:, None] * rows)
        of_bias = torch.zeros(len(ids), dtype=exact, device=ids.device)
        of_bias.index_copy_(0, of_negative, slope[:k].sum(1)).index_add_(0, of_true, own)
    return loss, [of_hidden.to(hidden.dtype), of_rows.to(weight.dtype), of_bias.to(bias.dtype)], ids
