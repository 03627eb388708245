"""Initialised softmax: a classifier whose rows begin at the target table and learn.

N positions, H hidden size, V vocabulary size, D columns.
"""

import torch
from torch import Tensor, nn

from bench.core.settings import Count
from bench.data.vocabulary import Vocabulary
from bench.heads import Head
from bench.heads._regressor import require_types
from bench.heads.sampled_softmax import SampledSoftmaxHead
from bench.heads.softmax import SoftmaxHead
from bench.targets.tables import Targets


class InitialisedSoftmaxHead(Head):
    """p(w) ∝ exp(W h · e_w + b_w), all parameters learnt; e_w begins at the target of w, and b_w at log q(w).

    Measures the value of pre-trained vectors to a classifier: Qi et al. 2018, "When and Why Are Pre-trained Word
    Embeddings Useful for Neural Machine Translation?", do so for the input layer. W h · e_w = h · Wᵀ e_w, so W also
    is a learnt projection of the rows to the hidden width. A row has D columns, as in `frozen_softmax`, the control
    whose rows stay fixed; with `targets=random` the head is the control whose rows begin without knowledge.

    Args:
        targets: the table [V, D] at which the rows begin, of level `type`.
        samples: k, negatives per step of the sampled softmax; None trains by exact cross-entropy over V.

    Raises:
        SettingError: targets of level `token`, or k is not less than V.
    """

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets, samples: Count | None):
        require_types("initialised_softmax", targets)
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        width = targets.table.shape[1]
        self.projection = nn.Linear(hidden_size, width)
        self.classifier = (
            SoftmaxHead(hidden_size=width, vocabulary=vocabulary)
            if samples is None
            else SampledSoftmaxHead(hidden_size=width, vocabulary=vocabulary, samples=samples)
        )
        with torch.no_grad():
            self.classifier.words.weight.copy_(targets.table)

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        self.classifier.row_sparse = self.row_sparse  # the optimiser's choice can change after initialisation
        return self.classifier.loss(self.projection(hidden), words)

    def scores(self, hidden: Tensor) -> Tensor:
        return self.classifier.scores(self.projection(hidden))  # [N, V] logits

    def rows(self) -> tuple[Tensor, Tensor]:
        return self.classifier.rows()

    def queries(self, hidden: Tensor) -> Tensor:
        return self.projection(hidden)
