"""Loss of adaptive softmax in bounded memory: short list and tails are each a chunked linear cross-entropy.

Grave et al. 2017, "Efficient softmax approximation for GPUs". N positions, H hidden size.
"""

import torch
from torch import Tensor, nn

from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy


def adaptive_cross_entropy(clusters: nn.AdaptiveLogSoftmaxWithLoss, hidden: Tensor, words: Tensor) -> Tensor:
    """Compute `clusters(hidden, words).loss`, in nats, without a matrix of positions and words. [N, H], [N] -> []"""
    shortlist = clusters.shortlist_size
    cutoffs = torch.tensor(clusters.cutoffs[:-1], device=words.device)
    cluster = torch.bucketize(words, cutoffs, right=True)  # [N] 0: short list
    columns = torch.where(cluster == 0, words, shortlist + cluster - 1)  # in the head, a tail cluster has one column
    loss = linear_cross_entropy(hidden, clusters.head.weight, clusters.head.bias, columns)
    for number, (first, (projection, output)) in enumerate(zip(clusters.cutoffs, clusters.tail, strict=False), start=1):
        inside = (cluster == number).nonzero()[:, 0]
        if len(inside):
            projected = projection(hidden.index_select(0, inside))
            tail_loss = linear_cross_entropy(projected, output.weight, output.bias, words[inside] - first)
            loss = loss + tail_loss * (len(inside) / len(words))
    return loss
