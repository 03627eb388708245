"""InfoNCE regressor: distinguish the true word's vector from those of k draws of noise; its scores are a density.

van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding".
N positions, H hidden size, V vocabulary size, D columns, d distinct draws.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.core.settings import Rows
from bench.data.vocabulary import Vocabulary
from bench.heads._noise import Noise
from bench.heads._regressor import CosineSoftmax
from bench.targets.tables import Targets


class InfoNCEHead(CosineSoftmax):
    """Minimise −log [exp(cos(p, e) / τ) / (exp(cos(p, e) / τ) + Σ_j exp(cos(p, e_j) / τ))], j over k draws from q.

    For any k the optimum of cos(p, e_w) / τ is log [p(w | context) / q(w)] plus a constant per context. So the scores
    are cos(p, e_w) / τ + log q(w): log-probabilities up to a constant per row, as far as D columns of fixed vectors
    can express these. The head is a sampled softmax whose rows are not trained; `frozen_softmax` is the same model
    trained without sampling. A draw that equals the true word is kept; without it the optimum would differ. At
    `targets.level=token` the true vector is that of the occurrence and the drawn vectors are those of types, so the
    scores are a proxy.

    Args:
        samples: k, draws per step, with replacement, shared by the positions of the step.
        temperature: initial τ.
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
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets, temperature=temperature)
        self.noise, self.samples = Noise(vocabulary), samples

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        targets = self.target_vectors(words, vectors)
        return contrastive_loss(self.queries(hidden), targets, self.table, *self.noise.draw(self.samples))


def contrastive_loss(queries: Tensor, targets: Tensor, table: Tensor, noise: Tensor, counts: Tensor) -> Tensor:
    """Mean cross-entropy of the target among the target and the noise; row `noise[i]` counts `counts[i]` times.

    Shapes: [N, D], [N, D], [V, D], [d], [d] -> [].
    """
    true = (queries * targets).sum(-1, keepdim=True)
    others = queries @ table.index_select(0, noise).T + counts.log()
    return F.cross_entropy(torch.cat([true, others], 1), noise.new_zeros(len(queries)))
