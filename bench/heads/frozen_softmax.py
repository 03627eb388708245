"""Frozen softmax: exact cross-entropy over V words whose rows are the target table and stay fixed.

N positions, H hidden size, V vocabulary size, D columns.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from bench.data.vocabulary import Vocabulary
from bench.heads._regressor import CosineSoftmax, require_types
from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy
from bench.targets.tables import Targets


class FrozenSoftmaxHead(CosineSoftmax):
    """Minimise −log softmax of cos(p, e_w) / τ + log q(w), q the unigram distribution, at O(V) per position.

    The control of InfoNCE: the same scores and the same parameters (a projection and a learnt temperature; no bias per
    word), trained without sampling. A difference between the two heads is due to sampling alone. `softmax` differs in
    more: its rows and biases are learnt, and its scores are inner products. Linear heads over fixed word vectors go
    back to Inan et al. 2017, "Tying Word Vectors and Word Classifiers", and Press & Wolf 2017, "Using the Output
    Embedding to Improve Language Models".

    Args:
        temperature: initial τ.

    Raises:
        SettingError: targets of level `token`.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        vocabulary: Vocabulary,
        targets: Targets,
        temperature: Annotated[float, Field(ge=1e-3, le=1e3)],
    ):
        require_types("frozen_softmax", targets)
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets, temperature=temperature)

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        return linear_cross_entropy(self.queries(hidden), self.table, self.log_unigram, words)
