"""Projected softmax: a classifier with a learnt linear projection between the hidden states and its rows.

N positions, H hidden size, V vocabulary size, D columns of a row.
"""

from torch import Tensor, nn

from bench.core.settings import Count
from bench.data.vocabulary import Vocabulary
from bench.heads import Head
from bench.heads.sampled_softmax import SampledSoftmaxHead
from bench.heads.softmax import SoftmaxHead


class ProjectedSoftmaxHead(Head):
    """p(w) ∝ exp((W h + c) · e_w + b_w), all parameters learnt; b_w begins at log q(w).

    For D < H, a softmax layer of low rank: Sainath et al. 2013, "Low-rank Matrix Factorization for Deep Neural Network
    Training with High-dimensional Output Targets". Its V · (D + 1) + (H + 1) · D parameters are fewer than the
    softmax's V · (H + 1) if V > (H + 1) · D / (H − D). For D >= H, it expresses what a softmax expresses, with other
    parameters.

    Args:
        width: D.
        samples: k, negatives per step of the sampled softmax; None trains by exact cross-entropy over V.

    Raises:
        SettingError: k is not less than V.
    """

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, width: Count, samples: Count | None):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.projection = nn.Linear(hidden_size, width)
        self.classifier = (
            SoftmaxHead(hidden_size=width, vocabulary=vocabulary)
            if samples is None
            else SampledSoftmaxHead(hidden_size=width, vocabulary=vocabulary, samples=samples)
        )

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        self.classifier.row_sparse = self.row_sparse  # the optimiser's choice can change after initialisation
        return self.classifier.loss(self.projection(hidden), words)

    def scores(self, hidden: Tensor) -> Tensor:
        return self.classifier.scores(self.projection(hidden))  # [N, V] logits

    def rows(self) -> tuple[Tensor, Tensor]:
        return self.classifier.rows()

    def queries(self, hidden: Tensor) -> Tensor:
        return self.projection(hidden)
