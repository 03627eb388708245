"""Adaptive softmax's loss, short list and tails each a chunked cross-entropy: no position-by-cluster matrix.

N positions, H hidden size, V vocabulary size.
"""

import torch
from torch import Tensor, nn

from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy


def adaptive_cross_entropy(clusters: nn.AdaptiveLogSoftmaxWithLoss, hidden: Tensor, words: Tensor) -> Tensor:
    """What `clusters(hidden, words).loss` is. [N, H], [N] -> []"""
    short = clusters.shortlist_size
    # the cluster's column stands for each of its words
    cluster = torch.bucketize(words, torch.tensor(clusters.cutoffs[:-1], device=words.device), right=True)  # 0: short
    loss = linear_cross_entropy(
        hidden, clusters.head.weight, clusters.head.bias, torch.where(cluster == 0, words, short + cluster - 1)
    )
    for number, (low, (narrow, wide)) in enumerate(zip(clusters.cutoffs, clusters.tail, strict=False), start=1):
        inside = (cluster == number).nonzero()[:, 0]
        if len(inside):
            projected = narrow(hidden.index_select(0, inside))
            tail = linear_cross_entropy(projected, wide.weight, wide.bias, words[inside] - low)
            loss = loss + tail * (len(inside) / len(words))
    return loss
