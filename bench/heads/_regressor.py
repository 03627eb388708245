"""Regressors: predict the next word's embedding, and decode by the nearest row of the type table.

N positions, H hidden size, V vocabulary size, D embedding size.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from bench.core.errors import SettingError
from bench.data.vocabulary import Vocabulary
from bench.heads import Head
from bench.targets.tables import Targets

UNIT = 1e-6  # rounding error of a length of 1 in float32: rows nearer than this to length 1 are not copied


class Regressor(Head):
    """A linear projection p = W h + b to D columns, and a fixed table of one target vector per word.

    The cost of the projection does not depend on V; that of a subclass's loss may. The bias starts at the mean target
    vector, as the biases of a softmax start at the unigram.

    Args:
        targets: the table [V, D] that decoding ranks, and the level of the vectors that training predicts.
    """

    is_density = False

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.register_buffer("table", targets.table)  # [V, D]
        self.projection = nn.Linear(hidden_size, targets.table.shape[1])
        shares = torch.from_numpy(vocabulary.log_unigram).exp()
        with torch.no_grad():
            self.projection.bias.copy_(shares @ targets.table)

    def __init_subclass__(cls, **options: object):
        """Drop the inherited `minimiser` if a subclass redefines what it belongs to: the loss, or the decoder."""
        own = set(vars(cls))
        super().__init_subclass__(**options)
        if own & {"loss", "queries", "rows"} and "minimiser" not in own:
            cls.minimiser = Regressor.minimiser

    def predictions(self, hidden: Tensor) -> Tensor:
        """Return the predicted target vectors. [N, H] -> [N, D]"""
        return self.projection(hidden)

    def minimiser(self, mean: Tensor) -> Tensor | None:
        """Return the queries of the prediction that minimises the expected loss, given the mean target vector.

        None if the loss is no function of the mean, or if its minimum has no closed form. [N, D] -> [N, K]
        """
        return None

    def target_vectors(self, words: Tensor, vectors: Tensor | None) -> Tensor:
        """Return the vectors to predict: those of the occurrences, or the table's if None. [N], [N, D] -> [N, D]"""
        return self.table.index_select(0, words) if vectors is None else vectors

    def squared_error(self, predicted: Tensor, words: Tensor, vectors: Tensor | None) -> Tensor:
        """Return ‖p − e‖², the mean over positions and the sum over columns. [N, D], [N], [N, D] -> []"""
        return (predicted - self.target_vectors(words, vectors)).square().sum(-1).mean()


class DirectionRegressor(Regressor):
    """A regressor of directions: rows of the table and target vectors have length 1."""

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        lengths = self.table.norm(dim=-1)
        if ((lengths - 1).abs() > UNIT).any():  # unit rows stay shared with the targets
            self.table = F.normalize(self.table, dim=-1)  # once, not at each decoding

    def predictions(self, hidden: Tensor) -> Tensor:
        return F.normalize(super().predictions(hidden), dim=-1)

    def target_vectors(self, words: Tensor, vectors: Tensor | None) -> Tensor:
        return F.normalize(super().target_vectors(words, vectors), dim=-1)

    def scores(self, hidden: Tensor) -> Tensor:
        return self.queries(hidden) @ self.table.T  # [N, V]

    def rows(self) -> tuple[Tensor, Tensor | None]:
        return self.table, None


class CosineSoftmax(DirectionRegressor):
    """A softmax over fixed rows: scores cos(p, e_w) / τ + log q(w), q the unigram distribution.

    Its parameters are the projection and τ, which is learnt because 1 / τ bounds log (p / q), whose range depends on
    the vocabulary and on the targets. log q is fixed: no parameter belongs to a single word.

    Args:
        temperature: initial τ.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        vocabulary: Vocabulary,
        targets: Targets,
        temperature: Annotated[float, Field(ge=1e-3, le=1e3)],
    ):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        self.log_sharpness = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.register_buffer("log_unigram", torch.from_numpy(vocabulary.log_unigram), persistent=False)  # log q [V]
        self.is_density = targets.level == "type"

    def queries(self, hidden: Tensor) -> Tensor:
        return self.predictions(hidden) * self.log_sharpness.exp()

    def scores(self, hidden: Tensor) -> Tensor:
        return torch.addmm(self.log_unigram, self.queries(hidden), self.table.T)  # [N, V]

    def rows(self) -> tuple[Tensor, Tensor]:
        return self.table, self.log_unigram


def require_types(system: str, targets: Targets) -> None:
    """Check that targets are of level `type`, for a head that classifies words.

    Raises:
        SettingError: another level.
    """
    if targets.level != "type":
        problem = f"{system} classifies words, and an occurrence has no row of its own; use targets.level=type"
        raise SettingError("targets.level", problem)
