"""Rescued regressor: a squared-error regressor, and a small network that corrects its prediction before decoding.

The "Void Rescue System" of openai/parameter-golf, pull request 1513 (2026): the regressor is the navigator, the
network the rescuer. N positions, H hidden size, V vocabulary size, D columns.
"""

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from bench.core.settings import Width
from bench.data.vocabulary import Vocabulary
from bench.heads._regressor import CosineSoftmax
from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy
from bench.targets.tables import Targets


class RescuedHead(CosineSoftmax):
    """Minimise ‖p − e‖² − log softmax of cos(r, e_w) / τ + log q(w); the second term trains the rescuer and τ alone.

    r = B · GELU(A · √D · p) depends on the prediction and on no other part of the context, and p is detached there.
    Trunk and projection learn by regression only. So the head measures the knowledge about the next word in a
    squared-error prediction that decoding by the nearest row does not show. `frozen_softmax` has the same scores with
    p for r: the head whose trunk learns from the cross-entropy. Rows and target vectors are scaled to length 1.

    The source has a network without context, trained jointly, of 2 · 512² parameters at D = 512, and decodes through
    the shared table. The activation and the form of the scores are choices made here.

    Args:
        width: columns of the rescuer's hidden layer.
        temperature: initial τ.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        vocabulary: Vocabulary,
        targets: Targets,
        width: Width,
        temperature: Annotated[float, Field(ge=1e-3, le=1e3)],
    ):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets, temperature=temperature)
        columns = self.table.shape[1]
        self.rescuer = nn.Sequential(
            nn.Linear(columns, width, bias=False), nn.GELU(), nn.Linear(width, columns, bias=False)
        )
        self.is_density = True  # at level `token` too: the cross-entropy is over words

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        predicted = self.projection(hidden)
        nats = linear_cross_entropy(self.correct(predicted.detach()), self.table, self.log_unigram, words)
        return self.squared_error(predicted, words, vectors) + nats

    def predictions(self, hidden: Tensor) -> Tensor:
        return self.projection(hidden)  # what the squared error trains; its length is not scaled to 1

    def queries(self, hidden: Tensor) -> Tensor:
        return self.correct(self.projection(hidden))

    def correct(self, predicted: Tensor) -> Tensor:
        """Return r / (‖r‖ τ); √D · p has entries of about 1, as the initial weights expect. [N, D] -> [N, D]"""
        rescued = self.rescuer(predicted * predicted.shape[-1] ** 0.5)
        return F.normalize(rescued, dim=-1) * self.log_sharpness.exp()
