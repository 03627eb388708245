"""Where one cost overtakes another, and after how many epochs an encoding has paid for itself. B draws."""

from dataclasses import dataclass
from math import inf

import numpy as np
from scipy import optimize

from bench.report.scaling_laws import DRAWS, FARTHEST, GRID, Law, errors, interval


@dataclass(frozen=True)
class Crossover:
    """The V from which a cost is the lower one: 0 is always, infinity never. `until`: the V up to which it is."""

    size: float
    low: float
    high: float
    until: bool = False

    def beyond(self, measured: float) -> bool:
        """Does only the extrapolation have it, and not even that for sure?"""
        return measured < self.size < inf and self.high == inf and not self.until


def crossover(ours: Law, theirs: Law, smallest: int) -> Crossover:
    """From where on, between the smallest V measured and 10M, ours is the cheaper for good.

    What is cheaper at first and then no more has the V up to which it is.
    """
    sizes = np.geomspace(smallest, FARTHEST, GRID)
    apart = np.log(ours.at(sizes) / theirs.at(sizes))  # [G]
    drawn = np.log(ours.drawn(sizes) / theirs.drawn(sizes))  # [B, G]
    until = bool(apart[0] < 0 <= apart[-1])
    low, high = interval(np.array([reached(each, sizes, until) for each in drawn]))
    return Crossover(exact(ours, theirs, reached(apart, sizes, until)), low, high, until)


def reached(apart: np.ndarray, sizes: np.ndarray, until: bool) -> float:
    """Where a log ratio falls below zero for good, or with `until` first rises to it; 0 and infinity are the range's
    ends. [G], [G]"""
    behind = np.flatnonzero(apart >= 0)
    if not len(behind):
        return inf if until else 0.0
    edge = behind[0] - 1 if until else behind[-1]  # the crossing lies between this size and the next
    if not 0 <= edge < len(sizes) - 1:
        return 0.0 if until else inf
    share = apart[edge] / (apart[edge] - apart[edge + 1])
    return float(sizes[edge] * (sizes[edge + 1] / sizes[edge]) ** share)


def exact(ours: Law, theirs: Law, near: float) -> float:
    """The root beside what the grid says."""
    if near in (0, inf):
        return near

    def apart(log: float) -> float:
        return float(np.log(ours.at(np.exp(log)) / theirs.at(np.exp(log))))

    return float(np.exp(optimize.newton(apart, np.log(near), x1=np.log(near) + 1e-3)))


@dataclass(frozen=True)
class Epochs:
    """Passes over the encoded words until the time saved in training has paid for encoding them; infinity is never."""

    count: float
    low: float
    high: float


def break_even(encode_ms: float, ours: np.ndarray, theirs: np.ndarray, rounds: int) -> Epochs:
    """Encoding a word, ms; spans of training on one, ms [3] each -> when it is paid back."""
    both = np.stack([ours, theirs])
    noise = np.random.default_rng(0).normal(size=(DRAWS, 2)) * errors(both, rounds)
    drawn = np.exp(noise) * both[:, 1]
    low, high = interval(paid(encode_ms, drawn[:, 1] - drawn[:, 0]))
    return Epochs(float(paid(encode_ms, both[1:, 1] - both[0, 1])[0]), low, high)


def paid(spent: np.ndarray | float, saved: np.ndarray) -> np.ndarray:
    """What was spent once over what is saved each time, in one unit; infinity where nothing is. [B], [B] -> [B]"""
    return np.where(saved > 0, spent / np.where(saved > 0, saved, 1.0), inf)
