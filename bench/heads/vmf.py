"""Von Mises-Fisher regressor: the next word's direction has a density around the predicted direction.

Kumar & Tsvetkov 2019, "Von Mises-Fisher Loss for Training Sequence to Sequence Models with Continuous Outputs".
N positions, H hidden size, D columns.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.vocabulary import Vocabulary
from bench.heads._regressor import DirectionRegressor
from bench.heads.kernels.bessel import log_bessel, value_and_ratio
from bench.targets.tables import Targets

LONGEST_MEAN = 0.99  # length of a mean of unit vectors, at most: at 1 the concentration is infinite

NEWTON_STEPS = 4  # from the approximate concentration; the residual is then a rounding error


class VMFHead(DirectionRegressor):
    """Minimise −log [C_D(κ) exp(p · e)], κ = ‖p‖, in nats; rank words by p · e_w, which orders as the cosine does.

    −log C_D(κ) = log(I_ν(κ) / κ^ν) + D/2 log 2π, ν = D/2 − 1, value and gradient exact. This is a density over the
    sphere and not over words: it is unbounded if the next word is certain, and the scores are no log-probabilities.
    The paper's penalties on κ are left out: training is stable without them.

    p is D times the projection, because κ grows in proportion to D. The initial p is near the best p without a context
    (Banerjee et al. 2005, "Clustering on the Unit Hypersphere using von Mises-Fisher Distributions").
    """

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary, targets: Targets):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        self.dimension = self.table.shape[1]
        mean = torch.from_numpy(vocabulary.log_unigram).exp() @ self.table
        length = mean.norm().clamp_max(LONGEST_MEAN)
        with torch.no_grad():
            self.projection.bias.copy_(mean * (1 - length**2 / self.dimension) / (1 - length**2))
            self.projection.weight.div_(self.dimension)

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        predicted = self.queries(hidden).to(self.table.dtype)  # float32 from here on, under autocast too
        normaliser = log_bessel(self.dimension / 2 - 1, predicted.norm(dim=-1))
        nats = normaliser - (predicted * self.target_vectors(words, vectors)).sum(-1)
        return nats.mean() + self.dimension / 2 * math.log(2 * math.pi)

    def queries(self, hidden: Tensor) -> Tensor:
        return self.projection(hidden) * self.dimension

    def minimiser(self, mean: Tensor) -> Tensor:
        """Return κ · mean / ‖mean‖ with I_{D/2}(κ) / I_{D/2−1}(κ) = ‖mean‖: maximum likelihood. [N, D] -> [N, D]"""
        length = mean.double().norm(dim=-1, keepdim=True).clamp(1e-9, LONGEST_MEAN)
        kappa = length * (self.dimension - length**2) / (1 - length**2)  # Banerjee et al. 2005
        for _ in range(NEWTON_STEPS):
            slope = value_and_ratio(self.dimension / 2 - 1, kappa)[1] * kappa  # I_{D/2}(κ) / I_{D/2−1}(κ)
            curvature = 1 - slope**2 - (self.dimension - 1) / kappa * slope
            kappa = kappa - (slope - length) / curvature
        return F.normalize(mean, dim=-1) * kappa.to(mean.dtype)
