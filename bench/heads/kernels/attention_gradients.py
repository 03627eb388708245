"""Loss of a linear layer and its gradients on a CPU in bfloat16, by torch's fused attention.

Attention of hidden states to the rows of the weight, with the rows as values too, gives log Σ exp(logit) and Σ p · row:
the loss, and the gradient for hidden states. Attention of the rows to hidden states, with −log Σ exp(logit) as mask,
gives the gradient for the weight. The logits are computed twice, but neither logits nor exponentials leave the cache,
and with bfloat16 hardware the passes over memory take longer than the products.
Method: Dao et al. 2022, "FlashAttention". N positions, H hidden size, V vocabulary size.
"""

import torch
from torch import Tensor

from bench.heads.kernels.chunked_gradients import Gradients, Layer


def gradients_by_attention(layer: Layer, required: list[bool]) -> tuple[Tensor, Gradients]:
    """Compute the mean loss [] and the required gradients, in float32."""
    hidden, weight, offsets, words, share, product = layer
    states, table = hidden.to(product), weight.to(product)
    true_rows = table[words]  # [N, H]
    expected, log_sums = attend(states, table, offsets)
    true = (states.float() * true_rows).sum(1) + offsets[words]
    loss = ((log_sums - true) * share).sum()
    gradients: Gradients = [None, None, None]
    if required[0]:
        gradients[0] = expected.float().sub_(true_rows).mul_(share[:, None])
    if required[1] or required[2]:
        mean_states, log_masses = attend(table, states, share.log() - log_sums)
        masses = log_masses.add_(offsets).exp_()  # Σ over positions of p · share. [V]
        if required[1]:
            gradients[1] = mean_states.float().mul_(masses[:, None])
            gradients[1].index_add_(0, words, -share[:, None] * states)
        if required[2]:
            gradients[2] = masses.index_add_(0, words, -share)
    return loss, gradients


def attend(queries: Tensor, rows: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean row under softmax(queries @ rows.T + offsets), and the log of the sum of the exponentials.

    [n, H], [m, H], [m] float32 -> [n, H], [n] float32
    """
    mask = offsets.expand(1, 1, len(queries), len(rows))
    mean, log_sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        queries[None, None], rows[None, None], rows[None, None], attn_mask=mask, scale=1.0
    )
    return mean[0, 0], log_sums.flatten()
