"""The logistic loss of noise-contrastive estimation, in the frame of the sampled cross-entropy.

N positions, H hidden size, V vocabulary size, d distinct draws of noise.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.heads.kernels.sampled_cross_entropy import SampledLoss


def noise_contrastive(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    words: Tensor,
    noise: Tensor,
    counts: Tensor,
    true_offset: Tensor,
    offset: Tensor,
    *,
    row_sparse: bool,
) -> Tensor:
    """Mean −log σ(true logit) − Σ counts · log σ(−noise logit), offsets added to both.

    Shapes: [N, H], [V, H], [V], [N], [d] distinct, [d], [N], [d] -> []. Gradients of weight and bias are sparse where
    `row_sparse`.
    """
    given, between = (words, noise, true_offset, offset), functools.partial(logistic, counts)
    return SampledLoss.apply(hidden, weight, bias, *given, between, row_sparse, torch.is_grad_enabled())


def logistic(
    counts: Tensor, logits: Tensor, true: Tensor, hits: Tensor, learning: bool
) -> tuple[Tensor, Tensor | None]:
    """Noise that is the true word counts as any other, so nobody asks for the hits."""
    times, noise = counts.to(logits.dtype)[:, None] / len(true), logits[:-1]
    loss = F.softplus(-true).mean() + (F.softplus(noise) * times).sum()
    if not learning:
        return loss, None
    torch.sigmoid(noise, out=noise).mul_(times)
    logits[-1] = (true.sigmoid() - 1) / len(true)
    return loss, logits
