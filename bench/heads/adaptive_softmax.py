"""Frequency-clustered softmax (Grave et al. 2017, "Efficient softmax approximation for GPUs")."""

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
    """A short list at full width, rarer clusters through ever narrower projections.

    The biases of short list and clusters begin at their unigram masses; within a tail torch's module has none.

    Args:
        cutoffs: where clusters end, as rising fractions of V below 1, so that one configuration serves a sweep of V.
        narrowing: by which factor each cluster's projection is narrower than the one before.

    Raises:
        SettingError: cutoffs that make an empty cluster, or a projection of width 0 (it would be silently uniform).
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
