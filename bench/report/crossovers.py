"""Crossovers of two costs, and the epochs in which training saves the time of an encoding. B draws, G grid sizes."""

from dataclasses import dataclass
from math import inf

import numpy as np
from scipy import optimize

from bench.report.scaling_laws import DRAWS, FARTHEST, GRID, LEAST_ERROR, Law, errors, interval


@dataclass(frozen=True)
class Crossover:
    """Vocabulary size V from which one of two costs is the lower; 0 stands for always, infinity for never."""

    size: float
    low: float
    high: float
    until: bool = False  # True: `size` is the V up to which the cost is the lower

    def is_uncertain_beyond(self, measured: float) -> bool:
        """True if only the extrapolation crosses, and some draws of it never do."""
        return measured < self.size < inf and self.high == inf and not self.until


def crossover(ours: Law, theirs: Law, smallest: int) -> Crossover:
    """Return the V from which our cost stays below theirs, between the smallest V measured and 10M.

    If our cost is below theirs at first and above theirs later, the V up to which it is below.
    """
    sizes = np.geomspace(smallest, FARTHEST, GRID)
    log_ratio = np.log(ours.at(sizes) / theirs.at(sizes))  # [G]
    drawn = np.log(ours.drawn(sizes) / theirs.drawn(sizes))  # [B, G]
    until = bool(log_ratio[0] < 0 <= log_ratio[-1])
    low, high = interval(np.array([crossing_size(each, sizes, until) for each in drawn]))
    size = exact_root(ours, theirs, crossing_size(log_ratio, sizes, until))
    return Crossover(size, min(low, size), max(high, size), until)


@dataclass(frozen=True)
class MeasuredOrder:
    """Vocabulary sizes at which one of two measured costs is clearly the lower one."""

    cheaper: list[int]  # V at which our cost is the lower
    dearer: list[int]

    def contradicts(self, ours: Law, theirs: Law) -> bool:
        """True if the laws give the opposite order at a V whose measurements are clear."""

        def law_is_lower(size: int) -> bool:
            return bool(ours.at(size) < theirs.at(size))

        return not all(map(law_is_lower, self.cheaper)) or any(map(law_is_lower, self.dearer))


def measured_order(ours: dict[int, list[float]], theirs: dict[int, list[float]]) -> MeasuredOrder:
    """Compare the spans [p20, p50, p80] of two costs at each V; an overlap, or a gap below 2 %, is no clear order."""
    sizes, gap = sorted(ours.keys() & theirs.keys()), 1 + LEAST_ERROR
    return MeasuredOrder(
        cheaper=[size for size in sizes if gap * ours[size][2] < theirs[size][0]],
        dearer=[size for size in sizes if ours[size][0] > gap * theirs[size][2]],
    )


def crossing_size(log_ratio: np.ndarray, sizes: np.ndarray, until: bool) -> float:
    """Return the size at which a log ratio falls below zero for good, or with `until` first rises to zero.

    0 and infinity: not between the smallest and the largest size. [G], [G]
    """
    above = np.flatnonzero(log_ratio >= 0)
    if not len(above):
        return inf if until else 0.0
    edge = above[0] - 1 if until else above[-1]  # the crossing is between this size and the next
    if not 0 <= edge < len(sizes) - 1:
        return 0.0 if until else inf
    share = log_ratio[edge] / (log_ratio[edge] - log_ratio[edge + 1])
    return float(sizes[edge] * (sizes[edge + 1] / sizes[edge]) ** share)


def exact_root(ours: Law, theirs: Law, near: float) -> float:
    """Return the V of equal cost under both laws, by the secant method on log V from `near`; 0 and inf stay."""
    if near in (0, inf):
        return near

    def log_ratio(log_size: float) -> float:
        return float(np.log(ours.at(np.exp(log_size)) / theirs.at(np.exp(log_size))))

    return float(np.exp(optimize.newton(log_ratio, np.log(near), x1=np.log(near) + 1e-3)))


@dataclass(frozen=True)
class Epochs:
    """Passes over the encoded words until the time saved in training equals the encoding time; infinity is never."""

    count: float
    low: float
    high: float


def break_even(encode_ms: float, ours: np.ndarray, theirs: np.ndarray, rounds: int) -> Epochs:
    """Return the passes until the time saved in training equals the time of encoding.

    Args:
        encode_ms: of one word.
        ours, theirs: spans of training on one word, ms. [3] each
    """
    both = np.stack([ours, theirs])
    noise = np.random.default_rng(0).normal(size=(DRAWS, 2)) * errors(both, rounds)
    drawn = np.exp(noise) * both[:, 1]
    low, high = interval(uses_until_saved(encode_ms, drawn[:, 1] - drawn[:, 0]))
    count = float(uses_until_saved(encode_ms, both[1:, 1] - both[0, 1])[0])
    return Epochs(count, min(low, count), max(high, count))


def uses_until_saved(spent: np.ndarray | float, saved: np.ndarray) -> np.ndarray:
    """Divide the time spent once by the time saved per use; infinity if none is saved. [B], [B] -> [B]"""
    return np.where(saved > 0, spent / np.where(saved > 0, saved, 1.0), inf)
