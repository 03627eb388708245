"""Loss of a linear layer and its gradients on a CPU in bfloat16, by torch's fused attention.

Attention of hidden states to the rows of the weight, with the rows as values too, gives log Σ exp(logit) and Σ p · row:
the loss, and the gradient for hidden states. Attention of the rows to hidden states, with −log Σ exp(logit) as mask,
gives the gradient for the weight. The logits are computed twice, but neither logits nor exponentials leave the cache,
and with bfloat16 hardware the passes over memory take longer than the products.
Method: Dao et al. 2022, "FlashAttention". N positions, H hidden size, V vocabulary size, v words per slab.
"""

import torch
from torch import Tensor

from bench.heads.kernels.chunked_gradients import Gradients, Layer, split_range
from bench.heads.kernels.huge_pages import empty_in_huge_pages

SLAB_WORDS = 2**13  # v: 4 MiB of rows in bfloat16, which stay in the cache while all positions read them


def gradients_by_attention(layer: Layer, required: list[bool]) -> tuple[Tensor, Gradients]:
    """Compute the mean loss [] and the required gradients, in float32."""
    hidden, weight, offsets, words, share, product = layer
    states, slabs = hidden.to(product), split_range(len(weight), SLAB_WORDS)
    true_rows = weight[words].to(product)  # [N, H]
    expected, log_sums = attend_to_slabs(states, weight, offsets, slabs)
    true = (states.float() * true_rows).sum(1) + offsets[words]
    loss = ((log_sums - true) * share).sum()
    gradients: Gradients = [None, None, None]
    if required[0]:
        gradients[0] = expected.sub_(true_rows).mul_(share[:, None])
    if required[1] or required[2]:
        masses = torch.empty_like(offsets)  # Σ over positions of p · share. [V]
        if required[1]:
            gradients[1] = empty_in_huge_pages(weight.shape, offsets.dtype, weight.device)
        mask = share.log() - log_sums  # [N]
        for slab in slabs:
            mean_states, log_masses = attend(weight[slab].to(product), states, mask)
            torch.exp(log_masses.add_(offsets[slab]), out=masses[slab])
            if required[1]:
                torch.mul(mean_states, masses[slab, None], out=gradients[1][slab])
        if required[1]:
            gradients[1].index_add_(0, words, -share[:, None] * states)
        if required[2]:
            gradients[2] = masses.index_add_(0, words, -share)
    return loss, gradients


def attend_to_slabs(states: Tensor, weight: Tensor, offsets: Tensor, slabs: list[slice]) -> tuple[Tensor, Tensor]:
    """Compute the mean row under softmax(logits), and log Σ exp(logit); each slab changes the running results.

    [N, H], [V, H], [V] float32 -> [N, H], [N] float32
    """
    mean = states.new_zeros(states.shape, dtype=offsets.dtype)
    log_sums = offsets.new_full((len(states),), -torch.inf)
    for slab in slabs:
        slab_mean, slab_sums = attend(states, weight[slab].to(states.dtype), offsets[slab])
        share = torch.sigmoid(slab_sums - log_sums)  # of the slab in the sum so far, 1 at first. [N]
        mean.lerp_(slab_mean.to(mean.dtype), share[:, None])
        log_sums = torch.logaddexp(log_sums, slab_sums)
    return mean, log_sums


def attend(queries: Tensor, rows: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean row under softmax(queries @ rows.T + offsets), and the log of the sum of the exponentials.

    [n, H], [m, H], [m] float32 -> [n, H], [n] float32
    """
    mask = offsets.expand(1, 1, len(queries), len(rows))
    mean, log_sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        queries[None, None], rows[None, None], rows[None, None], attn_mask=mask, scale=1.0
    )
    return mean[0, 0], log_sums.flatten()
