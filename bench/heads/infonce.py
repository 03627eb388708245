"""InfoNCE: point at the true word's row among k draws of noise; a regressor whose scores are a distribution.

van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding".
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from bench.core.settings import Rows
from bench.data.vocabulary import Vocabulary
from bench.heads._noise import Noise
from bench.heads._regressor import DirectionRegressor
from bench.targets.tables import Targets


class InfoNCEHead(DirectionRegressor):
    """Descends −log of the true row's share of exp(cos(p, e) / τ) among itself and the draws.

    With draws from q, whatever their number, the optimum of cos(p, e_w) / τ is log p(w | context) / q(w) plus what
    hangs on the context alone. So the scores are cos(p, e_w) / τ + log q(w): log-probabilities up to a constant a row,
    as near as D columns of fixed rows come. It is a sampled softmax whose rows do not learn. A draw that is the true
    word stays, or the optimum would be another. At `targets.level=token` the true row is the occurrence's and the
    others are types', two kinds of vectors, and the scores are a proxy.

    τ is learnt: it alone bounds log p / q, which reaches as far as V and the targets make it.

    Args:
        samples: k, draws a step, with replacement, shared by its positions.
        temperature: where τ begins.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        vocabulary: Vocabulary,
        targets: Targets,
        samples: Rows,
        temperature: Annotated[float, Field(ge=1e-3, le=1e3)],
    ):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        self.noise, self.samples = Noise(vocabulary), samples
        self.log_sharpness = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.is_density = targets.level == "type"

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        return contrast(self.queries(hidden), self.aim(words, vectors), self.table, *self.noise.draw(self.samples))

    def queries(self, hidden: Tensor) -> Tensor:
        return F.normalize(self.projection(hidden), dim=-1) * self.log_sharpness.exp()

    def scores(self, hidden: Tensor) -> Tensor:
        return torch.addmm(self.noise.log_share, self.queries(hidden), self.table.T)  # [N, V]

    def rows(self) -> tuple[Tensor, Tensor]:
        return self.table, self.noise.log_share


def contrast(queries: Tensor, aims: Tensor, table: Tensor, noise: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy of the aim among itself and the noise, each row of it so often. [N, D], [N, D], [V, D], [d], [d]"""
    true = (queries * aims).sum(-1, keepdim=True)
    others = queries @ table.index_select(0, noise).T + counts.log()
    return F.cross_entropy(torch.cat([true, others], 1), noise.new_zeros(len(queries)))
