"""Logistic loss of noise-contrastive estimation, with the gathered rows of the sampled cross-entropy.

Gutmann & Hyvärinen 2010; Mnih & Teh 2012. N positions, H hidden size, V vocabulary size, d distinct draws of noise.
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
    noise_offset: Tensor,
    *,
    row_sparse: bool,
) -> Tensor:
    """Compute the mean of −log σ(true logit) − Σ counts · log σ(−noise logit).

    Args:
        hidden, weight, bias: [N, H], [V, H], [V].
        words: ids of the true words. [N]
        noise, counts: distinct ids, and the number of draws of each id. [d], [d]
        true_offset, noise_offset: added to the logits, such as −log(k · q). [N], [d]
        row_sparse: True for row-sparse gradients of weight and bias.

    Returns:
        Mean loss in nats. []
    """
    inputs, logit_loss = (words, noise, true_offset, noise_offset), functools.partial(logistic_loss, counts)
    return SampledLoss.apply(hidden, weight, bias, *inputs, logit_loss, row_sparse, torch.is_grad_enabled())


def logistic_loss(
    counts: Tensor, logits: Tensor, true: Tensor, hits: Tensor, grad_required: bool
) -> tuple[Tensor, Tensor | None]:
    """Compute the logistic loss, a `LogitLoss` once `counts` is bound; noise that equals the true word counts too."""
    weights, noise = counts.to(logits.dtype)[:, None] / len(true), logits[:-1]
    loss = F.softplus(-true).mean() + (F.softplus(noise) * weights).sum()
    if not grad_required:
        return loss, None
    torch.sigmoid(noise, out=noise).mul_(weights)
    logits[-1] = (true.sigmoid() - 1) / len(true)
    return loss, logits
