"""Cross-entropy of a linear layer in bounded memory: gradients are computed in the forward pass.

N positions, H hidden size, V vocabulary size.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import register_flop_formula

from bench.core.hardware import computes_bf16
from bench.heads.kernels.bfloat16_gradients import gradients_in_bfloat16
from bench.heads.kernels.chunked_gradients import Layer, gradients_by_chunks

# Logits N · V that a device holds at once, where two calls of torch are faster than chunks. On an H200 with 4,096
# positions 1.5 times (V = 100,000) to 4 times (V = 10,000) as fast; at V = 100,000 they take 4 GiB of memory instead of
# 1. On two cores of a Xeon 1.7 times for 115 positions and 4,000 words, as in a tail of adaptive softmax.
LOGITS_AT_ONCE = {"cuda": 2**29, "cpu": 2**20}

OPS = torch.library.Library("bench", "FRAGMENT")  # kept: torch removes the op with the object


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, words: Tensor, *, ignore_index: int = -100
) -> Tensor:
    """Compute `F.cross_entropy(F.linear(hidden, weight, bias), words, ignore_index=ignore_index)` in bounded memory.

    Up to `LOGITS_AT_ONCE` logits are computed by just these calls, on a CPU only if products are in float32 or float64.

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
    if holds_all_logits(hidden.device, len(hidden), len(weight), product_dtype(hidden)):
        return F.cross_entropy(F.linear(hidden, weight, bias), words, ignore_index=ignore_index)
    return LinearCrossEntropy.apply(hidden, weight, bias, words, ignore_index, torch.is_grad_enabled())


def holds_all_logits(device: torch.device, positions: int, size: int, product: torch.dtype) -> bool:
    """True if the logits of these positions over a vocabulary of this size are computed at once, not in chunks.

    In 16 bits a CPU computes them in chunks, whose gradients are more exact than those of rounded logits.
    """
    exact = device.type != "cpu" or product in (torch.float32, torch.float64)
    return exact and positions * size <= LOGITS_AT_ONCE.get(device.type, 0)


class LinearCrossEntropy(torch.autograd.Function):
    """Compute the gradients together with the loss: a separate backward pass would compute the logits again."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, words: Tensor, ignored: int, grad_enabled: bool
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias, words)
        ctx.settings = ignored, product_dtype(hidden)
        required = [grad_enabled and needed for needed in ctx.needs_input_grad[:3]]
        inputs = hidden, weight, bias, words
        loss, *ctx.gradients = torch.ops.bench.linear_cross_entropy(*inputs, *ctx.settings, required)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None  # no reference is kept, so autograd takes them without a copy
        if gradients is None:  # second backward pass of a retained graph
            required = list(ctx.needs_input_grad[:3])
            _, *gradients = torch.ops.bench.linear_cross_entropy(*ctx.saved_tensors, *ctx.settings, required)
        return *scale_gradients(gradients, upstream), None, None, None


def scale_gradients(gradients: list[Tensor | None], upstream: Tensor) -> list[Tensor | None]:
    """Multiply gradients in place by the upstream gradient []; no pass over memory if it is 1, the usual case."""
    return gradients if upstream == 1 else [x if x is None else x.mul_(upstream) for x in gradients]


def product_dtype(hidden: Tensor) -> torch.dtype:
    """Return the type of matrix products: autocast's type if autocast is on, otherwise that of the hidden states."""
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def has_bfloat16_products(device: torch.device, product: torch.dtype, exact: torch.dtype) -> bool:
    """True for products in bfloat16 on a CPU with hardware for these products."""
    on_cpu = (device.type, product, exact) == ("cpu", torch.bfloat16, torch.float32)
    return on_cpu and computes_bf16(device)


@torch.no_grad()
def loss_and_gradients(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    words: Tensor,
    ignored: int,
    product: torch.dtype,
    required: list[bool],
) -> tuple[Tensor, ...]:
    """Compute the mean loss [] and its gradients for hidden states [N, H], weight [V, H] and bias [V].

    `product` is the type of matrix products; a gradient is None if its entry of `required` is False.
    """
    exact = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    counted = words != ignored
    share = counted / counted.sum().to(exact)  # [N] share in the mean; NaN if no position counts, as in torch
    offsets = weight.new_zeros(len(weight), dtype=exact) if bias is None else bias.to(exact)
    layer = Layer(hidden, weight, offsets, words.where(counted, 0), share, product)
    with torch.autocast(hidden.device.type, enabled=False):
        in_bfloat16 = has_bfloat16_products(hidden.device, product, exact) and any(required)
        loss, gradients = (gradients_in_bfloat16 if in_bfloat16 else gradients_by_chunks)(layer, required)
    inputs = zip(gradients, (hidden, weight, bias), strict=True)
    return loss, *[gradient if gradient is None else gradient.to(x.dtype) for gradient, x in inputs]


OPS.define(
    "linear_cross_entropy(Tensor hidden, Tensor weight, Tensor? bias, Tensor words, int ignored, ScalarType product, "
    "bool[] required) -> (Tensor, Tensor?, Tensor?, Tensor?)"
)
OPS.impl("linear_cross_entropy", loss_and_gradients, "CompositeExplicitAutograd")


@register_flop_formula(torch.ops.bench.linear_cross_entropy)
def count_products(
    hidden: torch.Size,
    weight: torch.Size,
    bias: torch.Size | None,
    words: torch.Size,
    ignored: int,
    product: torch.dtype,
    required: list[bool],
    **_: Any,
) -> int:
    """Return the FLOPs of the products that the loss and its gradients need: at most three.

    Logits that are computed a second time, which saves memory traffic, do not count.
    """
    (positions, width), size = hidden, weight[0]
    return 2 * positions * width * size * (1 + sum(required[:2]))
