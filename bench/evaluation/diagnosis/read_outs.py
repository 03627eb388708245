"""Decoders with free parameters on top of a frozen regressor, from the calibrated rule to a probe.

n positions of a block, H hidden size, K columns of a query, V vocabulary size.
"""

import torch
from torch import Tensor, nn

from bench.evaluation.calibration import Calibration
from bench.evaluation.diagnosis.inputs import Case
from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy

SPREAD = 256  # positions at which the spread of scores over words is measured


class ReadOut(nn.Module):
    """Scores a · (queries · rows + offsets) + b · log unigram, the calibrated rule; subclasses free some parameters."""

    def __init__(self, case: Case, calibration: Calibration):
        super().__init__()
        self.head, self.scale = case.head.requires_grad_(False), calibration.scale
        self.rows = case.rows[0]
        self.bias = calibration.logits(case.rows[1], case.log_unigram)

    def queries(self, features: Tensor) -> Tensor:
        """Return the vectors that the rows are multiplied with. [n, H] -> [n, K]"""
        return self.scale * self.head.queries(features)

    def free_parameters(self) -> list[nn.Parameter]:
        """Return the parameters to fit; those of the head are frozen."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("head.")]

    def loss(self, features: Tensor, words: Tensor) -> Tensor:
        return linear_cross_entropy(self.queries(features), self.rows, self.bias, words)

    def scores(self, features: Tensor) -> Tensor:
        return torch.addmm(self.bias, self.queries(features), self.rows.T)


class WordBias(ReadOut):
    """V free parameters: a bias per word."""

    def __init__(self, case: Case, calibration: Calibration):
        super().__init__(case, calibration)
        self.bias = nn.Parameter(self.bias)


class LinearMap(ReadOut):
    """K · K free parameters: a linear map of the query, which starts as a multiple of the identity.

    The gain makes steps of the map change the logits even if the calibrated scale is small, as it is for predictions
    that the rows do not fit.
    """

    def __init__(self, case: Case, calibration: Calibration):
        super().__init__(case, calibration)
        products = self.head.queries(case.calibration_inputs.features[:SPREAD]) @ self.rows.T  # [n, V]
        self.gain = max(abs(self.scale), 1 / float(products.std(1).mean().clamp_min(1e-6)))
        self.mixing = nn.Parameter(torch.eye(self.rows.shape[1]) * self.scale / self.gain)

    def queries(self, features: Tensor) -> Tensor:
        return self.gain * self.head.queries(features) @ self.mixing


class Probe(ReadOut):
    """V · (H + 1) free parameters: a linear softmax on the hidden states.

    The initial scores are the linear function of the hidden states that is nearest to the scores of another read-out by
    least squares; the two are equal if the queries of the latter are linear in the hidden states.
    """

    def __init__(self, case: Case, start: ReadOut):
        super().__init__(case, case.calibration)
        features = case.calibration_inputs.features
        with_one = torch.cat([features, features.new_ones(len(features), 1)], 1)
        with torch.no_grad():
            queries = start.queries(features)
            solution = torch.linalg.lstsq(with_one.double(), queries.double(), driver="gelsd").solution
            weight = start.rows @ solution.float().T  # [V, H + 1]
        self.rows = nn.Parameter(weight[:, :-1].contiguous())
        self.bias = nn.Parameter(start.bias + weight[:, -1])

    def queries(self, features: Tensor) -> Tensor:
        return features
