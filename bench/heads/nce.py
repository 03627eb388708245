"""Noise-contrastive estimation: tell the true word from k draws of noise, and the scores learn to sum to one.

Gutmann & Hyvärinen 2010; of language models Mnih & Teh 2012, "A fast and simple algorithm for training neural
probabilistic language models".
"""

import math

from torch import Tensor

from bench.core.settings import Rows
from bench.data.vocabulary import Vocabulary
from bench.heads._noise import Noise
from bench.heads.kernels.noise_contrastive import noise_contrastive
from bench.heads.softmax import SoftmaxHead


class NCEHead(SoftmaxHead):
    """Full softmax at test time; in training a logistic loss of s(w) − log(k q(w)), for the true word and the noise.

    The normaliser is 1 and is not learnt: biases begin at the unigram, where it is nearly so, and the noise is the
    unigram too, so every logit begins near −log k. A draw that is the true word stays: it is noise as good as any, and
    the optimum s(w) = log p(w) takes it into account.

    Args:
        samples: k, draws of noise a step, with replacement, shared by its positions.
    """

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, samples: Rows):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.noise, self.samples = Noise(vocabulary), samples

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        noise, counts = self.noise.draw(self.samples)
        offsets = [-(self.noise.log_share[ids] + math.log(self.samples)) for ids in (words, noise)]
        layer = self.words.weight, self.words.bias
        return noise_contrastive(hidden, *layer, words, noise, counts, *offsets, row_sparse=self.row_sparse)
