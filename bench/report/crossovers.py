"""Where one cost overtakes another, and after how many epochs an encoding has paid for itself. B draws."""

from dataclasses import dataclass
from math import inf

import numpy as np
from scipy import optimize

from bench.report.laws import DRAWS, FARTHEST, GRID, Law, errors, interval


@dataclass(frozen=True)
class Crossover:
    """The V from which a cost is the lower one: 0 is always, infinity never. `until`: the V up to which it is."""

    size: float
    low: float
    high: float
    until: bool = False


def crossover(ours: Law, theirs: Law, smallest: int) -> Crossover:
    """From where on, between the smallest V measured and 10M, ours is the cheaper for good.

    What is cheaper at first and then no more has the V up to which it is.
    """
    sizes = np.geomspace(smallest, FARTHEST, GRID)
    ahead = ours.at(sizes) < theirs.at(sizes)
    until = bool(ahead[0] and not ahead[-1])
    drawn = ours.drawn(sizes) < theirs.drawn(sizes)  # [B, G]
    low, high = interval(np.array([reached(each, sizes, until) for each in drawn]))
    return Crossover(exactly(ours, theirs, reached(ahead, sizes, until), sizes), low, high, until)


def reached(ahead: np.ndarray, sizes: np.ndarray, until: bool) -> float:
    """The last of the sizes that is behind, or with `until` the last before the first that is; 0 and infinity: the
    range's ends. [G], [G]"""
    behind = np.flatnonzero(~ahead)
    if until:
        return inf if not len(behind) else float(sizes[behind[0] - 1]) if behind[0] else 0.0
    return 0.0 if not len(behind) else inf if behind[-1] == len(sizes) - 1 else float(sizes[behind[-1]])


def exactly(ours: Law, theirs: Law, near: float, sizes: np.ndarray) -> float:
    """The root between a size of the grid and the next."""
    if near in (0, inf):
        return near
    following = sizes[np.searchsorted(sizes, near) + 1]
    apart = lambda log: float(np.log(ours.at(np.exp(log)) / theirs.at(np.exp(log))))  # noqa: E731
    return float(np.exp(optimize.brentq(apart, np.log(near), np.log(following))))


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


def paid(encode_ms: float, saved_ms: np.ndarray) -> np.ndarray:
    """[B] -> [B]"""
    return np.where(saved_ms > 0, encode_ms / np.maximum(saved_ms, 1e-300), inf)
