"""Rescued regressor: a squared-error regressor, and a small network that corrects its prediction before decoding.

The "Void Rescue System" of openai/parameter-golf, pull request 1513 (2026): the regressor is the navigator, the
network the rescuer. N positions, H hidden size, V vocabulary size, D columns.
"""

import torch
from torch import Tensor, nn

from bench.core.settings import Width
from bench.data.vocabulary import Vocabulary
from bench.heads._regressor import Regressor
from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy
from bench.targets.tables import Targets


class RescuedHead(Regressor):
    """Minimise ‖p − e‖² − log softmax(r · e_w + log q(w)): the second term trains the rescuer alone, as p is detached.

    r = s / D · B · GELU(A · s · p), s = √D / mean length of a row, depends on the prediction and on no other part of
    the context. The factor s makes entries about 1, so that one learning rate fits trunk and rescuer. Trunk and
    projection learn by regression only. So the head measures the knowledge about the next word in a squared-error
    prediction that decoding by the nearest row does not show. `frozen_softmax` is the head whose trunk learns from the
    cross-entropy.

    The source has a network without context, trained jointly, of 2 · 512² parameters at D = 512, and decodes through
    the shared table. The activation, s and the offsets log q(w), q the unigram distribution, are choices made here.

    Args:
        width: columns of the rescuer's hidden layer.
    """

    is_density = True

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets, width: Width):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        columns = self.table.shape[1]
        self.register_buffer("scale", columns**0.5 / self.table.norm(dim=-1).mean())  # []
        self.rescuer = nn.Sequential(
            nn.Linear(columns, width, bias=False), nn.GELU(), nn.Linear(width, columns, bias=False)
        )
        self.register_buffer("log_unigram", torch.from_numpy(vocabulary.log_unigram), persistent=False)  # log q [V]

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        predicted = self.projection(hidden)
        nats = linear_cross_entropy(self.correct(predicted.detach()), self.table, self.log_unigram, words)
        return self.squared_error(predicted, words, vectors) + nats

    def queries(self, hidden: Tensor) -> Tensor:
        return self.correct(self.projection(hidden))

    def correct(self, predicted: Tensor) -> Tensor:
        """Return r, the corrected prediction. [N, D] -> [N, D]"""
        return self.rescuer(predicted * self.scale) * (self.scale / predicted.shape[-1])

    def scores(self, hidden: Tensor) -> Tensor:
        return torch.addmm(self.log_unigram, self.queries(hidden), self.table.T)  # [N, V]

    def rows(self) -> tuple[Tensor, Tensor]:
        return self.table, self.log_unigram
