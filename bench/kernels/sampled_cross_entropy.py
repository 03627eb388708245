"""Cross-entropy among the true word and shared negatives, whose gradient holds no row but theirs.

N positions, H hidden size, V vocabulary size, k negatives, R distinct ids among both.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.kernels.linear_cross_entropy import product_type, scaled
from bench.rows import row_gradient


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
    learning = torch.is_grad_enabled()
    return SampledCrossEntropy.apply(hidden, weight, bias, words, negatives, true_offset, offset, row_sparse, learning)


class SampledCrossEntropy(torch.autograd.Function):
    """Gathers each row once, and makes the gradients with the loss."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, *rest: Any) -> Tensor:
        *given, ctx.row_sparse, learning = rest
        ctx.save_for_backward(hidden, weight, bias, *given)
        ctx.product = product_type(hidden)
        loss, ctx.gradients, ctx.ids = loss_and_gradients(hidden, weight, bias, *given, ctx.product, learning)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:  # again, through a graph that was retained
            _, gradients, _ = loss_and_gradients(*ctx.saved_tensors, ctx.product, True)
        of_hidden, *of_rows = scaled(gradients, upstream)
        _, weight, bias, *_ = ctx.saved_tensors
        spread = row_gradient if ctx.row_sparse else dense
        of_layer = [spread(ctx.ids, rows, like) for rows, like in zip(of_rows, (weight, bias), strict=True)]
        return of_hidden, *of_layer, *[None] * 6


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
        logits = torch.empty(n, k + 1, dtype=exact, device=hidden.device)  # the true word last
        torch.add(rows @ other.T, offsets[negatives] + offset.to(exact), out=logits[:, :k])
        # the column of a negative that is the true word; the last one, which is yet to be written, where there is none
        column = torch.full_like(ids, k).index_copy_(0, of_negative, torch.arange(k, device=ids.device))
        logits.scatter_(1, column[of_true][:, None], -torch.inf)
        logits[:, k] = (rows.to(exact) * target).sum(1) + offsets[words] + true_offset.to(exact)
        nats = logits.log_softmax(1)
        loss = -nats[:, k].mean()
        if not learning:
            return loss, [], ids
        slope = nats.exp_().div_(n)  # p / N
        slope[:, k] -= 1 / n
        lean, own = slope[:, :k].to(product), slope[:, k:]
        of_hidden = (lean @ other).to(exact).addcmul_(own, target.to(exact))
        of_rows = torch.zeros(table.shape, dtype=exact, device=ids.device)
        of_rows.index_copy_(0, of_negative, (lean.T @ rows).to(exact))
        of_rows.index_add_(0, of_true, own * rows)
        of_bias = torch.zeros(len(ids), dtype=exact, device=ids.device)
        of_bias.index_copy_(0, of_negative, slope[:, :k].sum(0)).index_add_(0, of_true, own[:, 0])
    return loss, [of_hidden.to(hidden.dtype), of_rows.to(weight.dtype), of_bias.to(bias.dtype)], ids
