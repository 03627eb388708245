"""softmax(a · score + b · log unigram): the two numbers that turn any head's scores into a distribution.

Every head gets the same treatment, so a regressor is not punished for having no temperature, nor a density let off.
With a = 0, b = 1 it is the unigram model; a density that is well calibrated finds a ≈ 1, b ≈ 0.
N positions, V vocabulary size.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.core.errors import Diverged

ScoreBlocks = Callable[[], Iterable[tuple[Tensor, Tensor]]]  # -> (scores [n, V], words [n]) block by block

TOLERANCE = 1e-6  # of the Newton decrement, nats: above rounding, and one more step leaves its square

MOST_STEPS = 60

MOST_HALVINGS = 12  # of a step

FLAT = 1e-6  # correlations beyond 1 - FLAT are rounding: scores and unigram cannot be told apart


class Calibration(NamedTuple):
    """softmax(scale · score + prior · log unigram)."""

    scale: float  # a
    prior: float  # b

    def logits(self, scores: Tensor, log_unigram: Tensor) -> Tensor:
        """Unnormalised. [n, V], [V] -> [n, V]"""
        return torch.add(scores * self.scale, log_unigram, alpha=self.prior)


def fit(blocks: ScoreBlocks, log_unigram: Tensor) -> Calibration:
    """The a and b of least mean nats: a convex problem, by Newton's method from the unigram model, with backtracking.

    Args:
        blocks: gives the same scores and words each time it is called.
        log_unigram: [V], natural log of each word's share of the training text.

    Raises:
        Diverged: scores that are not finite.
    """
    now = torch.tensor([0.0, 1.0], dtype=torch.float64)
    nats, gradient, hessian = moments(blocks, log_unigram, now)
    for _ in range(MOST_STEPS):
        # a head whose scores do not vary, or only as the unigram does, leaves the Hessian singular: pseudo-inverse,
        # of correlations, so that the unit of the scores does not matter
        unit = hessian.diagonal().clamp_min(0).sqrt()
        unit[unit == 0] = 1
        inverse = torch.linalg.pinv(hessian / torch.outer(unit, unit), hermitian=True, rtol=FLAT)
        direction = -(inverse @ (gradient / unit)) / unit
        decrement = float(-gradient @ direction)
        if decrement < TOLERANCE:
            now = now + direction  # the last step needs no check
            break
        for halvings in range(MOST_HALVINGS):
            length = 0.5**halvings
            trial = moments(blocks, log_unigram, now + length * direction)
            if trial[0] <= nats - 0.25 * length * decrement:
                break
        else:
            break  # what is left to gain is below rounding
        now, (nats, gradient, hessian) = now + length * direction, trial
    return Calibration(*now.tolist())


def moments(blocks: ScoreBlocks, log_unigram: Tensor, at: Tensor) -> tuple[float, Tensor, Tensor]:
    """Mean nats at (a, b), their gradient [2] and Hessian [2, 2]: the covariance of (score, log unigram) under p.

    Scores are taken relative to the true word's, which changes no figure and spares them the rounding of an offset.
    """
    calibration = Calibration(*at.tolist())
    total = torch.zeros(6, dtype=torch.float64)
    count = 0
    for scores, words in blocks():
        above = scores - scores.gather(1, words[:, None])  # [n, V]
        logits = calibration.logits(above, log_unigram)
        true = logits.gather(1, words[:, None])[:, 0]
        highest = logits.amax(1, keepdim=True)
        p = logits.sub_(highest).exp_()  # [n, V]
        mass = p.sum(1)
        p /= mass[:, None]
        nats = mass.log() + highest[:, 0] - true
        u, uu = p @ log_unigram, p @ log_unigram.square()  # E[log unigram], of its square, [n]
        s, su = p.mul_(above).sum(1), p @ log_unigram  # E[score above the true word's], of both's product
        ss = p.mul_(above).sum(1)
        su, ss, uu = su - s * u, ss - s * s, uu - u * u
        total += torch.stack([each.double().sum() for each in (nats, s, u - log_unigram[words], ss, su, uu)]).cpu()
        count += len(words)
    if not total.isfinite().all():
        raise Diverged("scores that are not finite")
    nats, da, db, aa, ab, bb = (total / count).tolist()
    gradient, hessian = torch.tensor([da, db]), torch.tensor([[aa, ab], [ab, bb]])
    return nats, gradient.double(), hessian.double()
