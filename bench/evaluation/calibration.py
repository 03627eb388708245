"""Calibration of any head's scores into a distribution: softmax(a · score + b · log unigram).

All heads are calibrated, so that a regressor without a temperature and a density are compared on equal terms.
a = 0, b = 1 is the unigram model; a density that is already calibrated gives a ≈ 1, b ≈ 0.
N positions, V vocabulary size.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from bench.core.errors import Diverged

ScoreBlocks = Callable[[], Iterable[tuple[Tensor, Tensor]]]  # -> (scores [n, V], words [n]) block by block

CACHED_CELLS = 2**17  # scores per CPU thread that are read together: 512 KiB, of which a core's cache holds a few

TOLERANCE = 1e-6  # of the Newton decrement, nats: above rounding errors; the last step squares the error

MOST_STEPS = 60  # Newton steps; each reads all blocks at least once

MOST_HALVINGS = 12  # of the length of a step, before the fit ends

UNREAD = 1e-3  # a · (interquartile range of one row's scores) below which p hardly depends on the scores

FLAT = 1e-6  # correlations beyond 1 - FLAT are rounding errors: scores and unigram are then indistinguishable


class Calibration(NamedTuple):
    """Parameters of softmax(scale · score + prior · log unigram)."""

    scale: float  # a
    prior: float  # b

    def logits(self, scores: Tensor, log_unigram: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the calibrated scores, before the softmax. [n, V], [V] -> [n, V]"""
        return torch.add(log_unigram * self.prior, scores, alpha=self.scale, out=out)


def fit(blocks: ScoreBlocks, log_unigram: Tensor) -> Calibration:
    """Find the a and b that minimise the mean nats.

    The problem is convex. Newton's method with backtracking solves it from the unigram model. If some scores are far
    below all others, such as −1e9 of a mask, the method may stop there at once; it then starts again from a scale that
    suits the other scores.

    Args:
        blocks: function that yields the same scores and words in every call.
        log_unigram: natural log of each word's share of the training text. [V]

    Raises:
        Diverged: scores that are not finite.
    """
    found, nats = descend(blocks, log_unigram, Calibration(0.0, 1.0))
    scores, _ = next(iter(blocks()))
    low, high = scores[0].float().quantile(scores.new_tensor([0.25, 0.75], dtype=torch.float32)).tolist()
    if 0 < abs(found.scale) * (high - low) < UNREAD:
        other, its_nats = descend(blocks, log_unigram, Calibration(1 / (high - low), 1.0))
        return other if its_nats < nats - TOLERANCE else found
    return found


def descend(blocks: ScoreBlocks, log_unigram: Tensor, start: Calibration) -> tuple[Calibration, float]:
    """Return the minimum by Newton's method from a start, and the mean nats before the last step."""
    now = torch.tensor(start, dtype=torch.float64)
    nats, gradient, hessian = moments(blocks, log_unigram, now)
    for _ in range(MOST_STEPS):
        # the Hessian is singular if scores are constant or a linear function of the log unigram: pseudo-inverse, of
        # correlations, so that the unit of the scores does not matter
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
            break  # the possible improvement is below rounding errors
        now, (nats, gradient, hessian) = now + length * direction, trial
    return Calibration(*now.tolist()), nats


def cached_rows(scores: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Split a block into rows that stay in the CPU's cache between several passes over them. [n, V], [n, …] each

    A GPU takes the block whole.
    """
    cells = CACHED_CELLS * torch.get_num_threads() if scores.device.type == "cpu" else scores.numel()
    rows = max(1, cells // scores.shape[1])
    return zip(*(each.split(rows) for each in (scores, *others)), strict=True)


def moments(blocks: ScoreBlocks, log_unigram: Tensor, at: Tensor) -> tuple[float, Tensor, Tensor]:
    """Return the mean nats at (a, b), the gradient [2] and the Hessian [2, 2].

    The Hessian is the mean covariance of (score, log unigram) under p. Scores are taken relative to the score of the
    true word: no result depends on an offset, and a large offset would cost precision.
    """
    calibration = Calibration(*at.tolist())
    squares = log_unigram.square()
    rows = []
    for scores, words in chain.from_iterable(cached_rows(*block) for block in blocks()):
        above = scores - scores.gather(1, words[:, None])  # [n, V]
        logits = calibration.logits(above, log_unigram)
        true = logits.gather(1, words[:, None])[:, 0]
        highest = logits.amax(1, keepdim=True)
        p = logits.sub_(highest).exp_()  # [n, V], up to the factor 1 / mass
        mass = p.sum(1)
        nats = mass.log() + highest[:, 0] - true
        # a product with one vector reads the block once; with two at once it takes three times as long
        u, uu = p @ log_unigram / mass, p @ squares / mass  # E[log unigram], E[(log unigram)²]. [n]
        p.mul_(above)
        s, su = p.sum(1) / mass, p @ log_unigram / mass  # E[score − true score], with · log unigram
        ss = p.mul_(above).sum(1) / mass
        su, ss, uu = su - s * u, ss - s * s, uu - u * u
        rows.append(torch.stack([nats, s, u - log_unigram[words], ss, su, uu]))
    mean = torch.cat(rows, 1).double().mean(1)
    if not mean.isfinite().all():
        raise Diverged("scores that are not finite")
    nats, da, db, aa, ab, bb = mean.tolist()
    gradient, hessian = torch.tensor([da, db]), torch.tensor([[aa, ab], [ab, bb]])
    return nats, gradient.double(), hessian.double()
