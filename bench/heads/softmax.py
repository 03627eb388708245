"""Full softmax, the reference: exact cross-entropy over V words. N positions, H hidden size, V vocabulary size."""

import torch
from torch import Tensor, nn

from bench.data.vocabulary import Vocabulary
from bench.heads import Head
from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy


class SoftmaxHead(Head):
    """p(w) ∝ exp(h · e_w + b_w), at O(V) per position. Biases start at the unigram, so that it need not be learnt."""

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.words = nn.Linear(hidden_size, len(vocabulary))
        with torch.no_grad():
            self.words.bias.copy_(torch.from_numpy(vocabulary.log_unigram))

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        return linear_cross_entropy(hidden, self.words.weight, self.words.bias, words)

    def scores(self, hidden: Tensor) -> Tensor:
        return self.words(hidden)  # [N, V] logits

    def rows(self) -> tuple[Tensor, Tensor]:
        return self.words.weight, self.words.bias
