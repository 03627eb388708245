"""Cross-entropy among the true word and k shared negatives; the gradient holds the rows of these words alone.

Gathering and scattering rows is separate from the loss on the logits, so that another loss can use the same code.
N positions, H hidden size, V vocabulary size, k negatives, R distinct ids among words and negatives.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.heads.kernels.chunked_gradients import add_product
from bench.heads.kernels.linear_cross_entropy import product_dtype, scale_gradients

# Loss on the logits, a function of
#   logits [k + 1, N]: of the negatives; the last row is not yet written,
#   true [N]: logits of the true words,
#   hits [N]: row of the negative that equals the true word; k if none does,
#   grad_required: False if the gradient is not needed.
# It returns the mean loss [] and its gradient for the logits [k + 1, N], true word last, or None. The gradient may
# overwrite the logits.
LogitLoss = Callable[[Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]


def sampled_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    words: Tensor,
    negatives: Tensor,
    true_offset: Tensor,
    negative_offset: Tensor,
    *,
    row_sparse: bool,
) -> Tensor:
    """Compute the mean −log softmax of the true word, among it and the negatives.

    Args:
        hidden, weight, bias: [N, H], [V, H], [V].
        words: ids of the true words. [N]
        negatives: distinct ids. A negative that equals the true word is left out at that position. [k]
        true_offset, negative_offset: added to the logits, such as the correction −log(expected count). [N], [k]
        row_sparse: True for row-sparse gradients of weight and bias.

    Returns:
        Mean loss in nats. []
    """
    inputs = words, negatives, true_offset, negative_offset
    return SampledLoss.apply(hidden, weight, bias, *inputs, softmax_loss, row_sparse, torch.is_grad_enabled())


def softmax_loss(logits: Tensor, true: Tensor, hits: Tensor, grad_required: bool) -> tuple[Tensor, Tensor | None]:
    """Compute −log softmax of the true word, a `LogitLoss`; a negative that equals the true word is left out."""
    logits.scatter_(0, hits[None], -torch.inf)
    logits[-1] = true
    shift = logits.amax(0)
    sums = logits.sub_(shift).exp_().sum(0)
    loss = (sums.log() + shift - true).mean()
    if not grad_required:
        return loss, None
    slope = logits.div_(sums * len(true))  # p / N
    slope[-1] -= 1 / len(true)
    return loss, slope


class SampledLoss(torch.autograd.Function):
    """Compute the gradients of the rows that are read together with the loss."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, *rest: Any) -> Tensor:
        *inputs, logit_loss, ctx.row_sparse, grad_enabled = rest
        ctx.save_for_backward(hidden, weight, bias, *inputs)
        ctx.settings = product_dtype(hidden), logit_loss
        loss, ctx.gradients, ctx.ids = loss_and_gradients(hidden, weight, bias, *inputs, *ctx.settings, grad_enabled)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:  # second backward pass of a retained graph
            _, gradients, _ = loss_and_gradients(*ctx.saved_tensors, *ctx.settings, True)
        hidden_gradient, *row_values = scale_gradients(gradients, upstream)
        _, weight, bias, *_ = ctx.saved_tensors
        scatter = row_gradient if ctx.row_sparse else dense_gradient
        layer_gradients = [scatter(ctx.ids, rows, like) for rows, like in zip(row_values, (weight, bias), strict=True)]
        return hidden_gradient, *layer_gradients, *[None] * 7


def row_gradient(ids: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """Return a sparse gradient of the shape of `like` [V, ...] with `values` [R, ...] at the rows `ids` [R].

    The ids must be distinct and ascending; they are not checked.
    """
    return torch.sparse_coo_tensor(ids[None], values, like.shape, is_coalesced=True, check_invariants=False)


def dense_gradient(ids: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """Return a dense gradient with `values` at the rows `ids`, zero elsewhere. [R], [R, ...], [V, ...] -> [V, ...]"""
    return torch.zeros_like(like).index_copy_(0, ids, values)


@torch.no_grad()
def loss_and_gradients(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    words: Tensor,
    negatives: Tensor,
    true_offset: Tensor,
    negative_offset: Tensor,
    product: torch.dtype,
    logit_loss: LogitLoss,
    grad_required: bool,
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Compute the loss [], its gradients, and the distinct ids of words and negatives [R].

    The gradients, none if not `grad_required`, are those of hidden states [N, H], of rows of `weight` [R, H] and of
    their biases [R]. `product` is the type of the matrix products.
    """
    (n, _), k = hidden.shape, len(negatives)
    exact = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    with torch.autocast(hidden.device.type, enabled=False):
        ids, positions = torch.unique(torch.cat([words, negatives]), return_inverse=True)
        true_at, negative_at = positions.split([n, k])  # positions in `ids`: [N], [k]
        states, offsets = hidden.to(product), bias.to(exact)
        true_rows, negative_rows = (weight.index_select(0, each).to(product) for each in (words, negatives))
        logits = torch.empty(k + 1, n, dtype=exact, device=hidden.device)
        logits[:k] = (offsets[negatives] + negative_offset.to(exact))[:, None]
        add_product(logits[:k], negative_rows, states.T)
        negative_of = torch.full_like(ids, k).index_copy_(0, negative_at, torch.arange(k, device=ids.device))  # [R]
        true = (states.to(exact) * true_rows).sum(1) + offsets[words] + true_offset.to(exact)
        loss, slope = logit_loss(logits, true, negative_of[true_at], grad_required)
        if slope is None:
            return loss, [], ids
        negative_slope, true_slope = slope[:k].to(product), slope[k]
        hidden_gradient = (negative_slope.T @ negative_rows).to(exact)
        hidden_gradient.addcmul_(true_slope[:, None], true_rows.to(exact))
        row_values = torch.zeros(len(ids), weight.shape[1], dtype=exact, device=ids.device)
        row_values.index_copy_(0, negative_at, (negative_slope @ states).to(exact))
        row_values.index_add_(0, true_at, true_slope[:, None] * states)
        bias_values = torch.zeros(len(ids), dtype=exact, device=ids.device)
        bias_values.index_copy_(0, negative_at, slope[:k].sum(1)).index_add_(0, true_at, true_slope)
    return loss, [hidden_gradient.to(hidden.dtype), row_values.to(weight.dtype), bias_values.to(bias.dtype)], ids
