"""Initialised softmax: a projected softmax whose rows begin at the target table and learn.

V vocabulary size, D columns.
"""

import torch

from bench.core.settings import Count
from bench.data.vocabulary import Vocabulary
from bench.heads._regressor import require_types
from bench.heads.projected_softmax import ProjectedSoftmaxHead
from bench.targets.tables import Targets


class InitialisedSoftmaxHead(ProjectedSoftmaxHead):
    """p(w) ∝ exp(W h · e_w + b_w), all parameters learnt; e_w begins at the target of w, and b_w at log q(w).

    Measures the value of pre-trained vectors to a classifier: Qi et al. 2018, "When and Why Are Pre-trained Word
    Embeddings Useful for Neural Machine Translation?", do so for the input layer. A row has D columns, as in
    `frozen_softmax`, the control whose rows stay fixed. With `targets=random` the head is the control whose rows begin
    without knowledge.

    Args:
        targets: the table [V, D] at which the rows begin, of level `type`.
        samples: k, negatives per step of the sampled softmax; None trains by exact cross-entropy over V.

    Raises:
        SettingError: targets of level `token`, or k is not less than V.
    """

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets, samples: Count | None):
        require_types("initialised_softmax", targets)
        width = targets.table.shape[1]
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, width=width, samples=samples)
        with torch.no_grad():
            self.classifier.words.weight.copy_(targets.table)
