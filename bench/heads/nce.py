"""Noise-contrastive estimation: classify true words against k draws of noise; scores learn to be log-probabilities.

Gutmann & Hyvärinen 2010; for language models Mnih & Teh 2012, "A fast and simple algorithm for training neural
probabilistic language models". N positions, H hidden size, V vocabulary size.
"""

import math

from torch import Tensor

from bench.core.settings import Rows
from bench.data.vocabulary import Vocabulary
from bench.heads._noise import Noise
from bench.heads.kernels.noise_contrastive import noise_contrastive
from bench.heads.softmax import SoftmaxHead


class NCEHead(SoftmaxHead):
    """Minimise −log σ(s(w) − log k q(w)) − Σ_j log σ(log k q(j) − s(j)), j over k draws from q.

    Evaluation scores all V words. The normaliser is fixed at 1: biases start at the unigram, where the normaliser is
    nearly 1. The noise q is the unigram too, so every logit starts near −log k. A draw that equals the true word is
    kept: the optimum s(w) = log p(w) assumes such draws.

    Args:
        samples: k, draws of noise per step, with replacement, shared by the positions of the step.
    """

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, samples: Rows):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.noise, self.samples = Noise(vocabulary), samples

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        noise, counts = self.noise.draw(self.samples)
        offsets = [-(self.noise.log_share[ids] + math.log(self.samples)) for ids in (words, noise)]
        layer = self.words.weight, self.words.bias
        return noise_contrastive(hidden, *layer, words, noise, counts, *offsets, row_sparse=self.row_sparse)
