"""Adaptive softmax: words in clusters by frequency. Grave et al. 2017, "Efficient softmax approximation for GPUs".

N positions, H hidden size, V vocabulary size.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.errors import SettingError
from bench.data.vocabulary import Vocabulary
from bench.heads import Head
from bench.heads.kernels.adaptive_cross_entropy import adaptive_cross_entropy


class AdaptiveSoftmaxHead(Head):
    """p(w) = p(cluster | h) · p(w | cluster, h): frequent words at full width H, rarer clusters at smaller widths.

    The biases of frequent words and clusters start at the log of their shares of the training text. Words in a cluster
    have no biases, as in `torch.nn.AdaptiveLogSoftmaxWithLoss`.

    Args:
        cutoffs: ends of the clusters, as increasing fractions of V below 1; a configuration then fits any V.
        narrowing: ratio of the widths of neighbouring clusters.

    Raises:
        SettingError: an empty cluster, or a projection of width 0 (its scores would be uniform).
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        vocabulary: Vocabulary,
        cutoffs: Sequence[Annotated[float, Field(gt=0, lt=1)]],
        narrowing: Annotated[float, Field(ge=1, le=2**14)],
    ):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        size = len(vocabulary)
        ids = [round(cutoff * size) for cutoff in cutoffs]
        if not ids or any(low >= high for low, high in zip([0, *ids], [*ids, size], strict=True)):
            raise SettingError("system.head.cutoffs", f"{list(cutoffs)} of V = {size} make an empty cluster; use fewer")
        if hidden_size // narrowing ** len(ids) < 1:
            raise SettingError(
                "system.head.narrowing",
                f"{narrowing} over {len(ids)} tails leaves no width of {hidden_size}; lower it or use fewer cutoffs",
            )
        self.clusters = nn.AdaptiveLogSoftmaxWithLoss(hidden_size, size, ids, div_value=narrowing, head_bias=True)
        shares = torch.from_numpy(vocabulary.log_unigram).exp()
        masses = [shares[low:high].sum() for low, high in zip(ids, [*ids[1:], size], strict=True)]
        with torch.no_grad():
            self.clusters.head.bias.copy_(torch.cat([shares[: ids[0]], torch.stack(masses)]).log())

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        return adaptive_cross_entropy(self.clusters, hidden, words)

    def scores(self, hidden: Tensor) -> Tensor:
        return self.clusters.log_prob(hidden)  # [N, V]
