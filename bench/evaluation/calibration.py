"""softmax(a · score + b · log unigram): the two numbers that turn any head's scores into a distribution.

Every head gets the same treatment, so a regressor is not punished for having no temperature, nor a density let off. With
a = 0, b = 1 it is the unigram model; a density that is well calibrated finds a ≈ 1, b ≈ 0. N positions, V vocabulary size.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

Blocks = Callable[[], Iterable[tuple[Tensor, Tensor]]]  # -> (scores [n, V], words [n]) block by block

TOLERANCE = 1e-8  # of the Newton decrement, nats
MOST_STEPS = 60


class Calibration(NamedTuple):
    """softmax(scale · score + prior · log unigram)."""

    scale: float  # a
    prior: float  # b

    def logits(self, scores: Tensor, log_unigram: Tensor) -> Tensor:
        """Unnormalised. [n, V], [V] -> [n, V]"""
        return torch.add(scores * self.scale, log_unigram, alpha=self.prior)


def fit(blocks: Blocks, log_unigram: Tensor) -> Calibration:
    """The a and b of least mean nats: a convex problem, by Newton's method from the unigram model, with backtracking.

    Args:
        blocks: gives the same scores and words each time it is called.
        log_unigram: [V], natural log of each word's share of the training text.

    Raises:
        ValueError: scores that are not finite.
    """
    now = torch.tensor([0.0, 1.0], dtype=torch.float64)
    nats, gradient, hessian = moments(blocks, log_unigram, now)
    for _ in range(MOST_STEPS):
        # a head whose scores do not vary, or only as the unigram does, leaves the Hessian singular: pseudo-inverse
        direction = -torch.linalg.pinv(hessian, hermitian=True, rtol=1e-12) @ gradient
        decrement = float(-gradient @ direction)
        if decrement < TOLERANCE:
            break
        length = 1.0
        while True:
            trial = moments(blocks, log_unigram, now + length * direction)
            if trial[0] <= nats - 0.25 * length * decrement or length < 1e-6:
                break
            length /= 2
        now, (nats, gradient, hessian) = now + length * direction, trial
    return Calibration(*now.tolist())


def moments(blocks: Blocks, log_unigram: Tensor, at: Tensor) -> tuple[float, Tensor, Tensor]:
    """Mean nats at (a, b), their gradient [2] and Hessian [2, 2]: the covariance of (score, log unigram) under p."""
    calibration = Calibration(*at.tolist())
    total = torch.zeros(6, dtype=torch.float64)
    count = 0
    for scores, words in blocks():
        logits = calibration.logits(scores, log_unigram)
        true = logits.gather(1, words[:, None])[:, 0]
        highest = logits.amax(1, keepdim=True)
        p = logits.sub_(highest).exp_()  # [n, V]
        mass = p.sum(1)
        p /= mass[:, None]
        nats = mass.log() + highest[:, 0] - true
        s, u = p.mul(scores).sum(1), p @ log_unigram  # E[score], E[log unigram], [n]
        su = p.mul(scores) @ log_unigram - s * u
        ss, uu = p.mul(scores).mul_(scores).sum(1) - s * s, p @ log_unigram.square() - u * u
        away = s - scores.gather(1, words[:, None])[:, 0], u - log_unigram[words]
        total += torch.stack([each.double().sum() for each in (nats, *away, ss, su, uu)]).cpu()
        count += len(words)
    if not total.isfinite().all():
        raise ValueError("scores that are not finite")
    nats, da, db, aa, ab, bb = (total / count).tolist()
    gradient, hessian = torch.tensor([da, db]), torch.tensor([[aa, ab], [ab, bb]])
    return nats, gradient.double(), hessian.double()
