"""Confidence intervals and paired differences of metrics, by resampling test documents.

A block is a test document, or several neighbouring documents if there are more than `MOST_BLOCKS`. A record keeps the
sums of each block, so that every reader of the record can resample. Words of one document depend on each other:
intervals resampled word by word would be too narrow. S seeds, B blocks, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from math import lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.evaluation.metric_definition import Formula, Ratio, Sums, evaluate
from bench.evaluation.metric_registry import METRICS

MOST_BLOCKS = 256

FEWEST_BLOCKS = 6  # the range of B documents misses their median with probability 2^(1 − B): 95 % needs six

RESAMPLES, SWAPS = 10_000, 9_999

EXACT_BLOCKS = 13  # up to this number of blocks the permutation test tries every swap: 2^13 of them

UNDEFINED = 0.025  # the largest share of resamples without a value for which an interval is given


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Sums of one cell per block of documents: all seeds over the same blocks of the same test text."""

    sums: Sums  # [S, B]; the sums that every seed has

    @classmethod
    def from_seeds(cls, seeds: Sequence[Mapping[str, Sequence[float]]]) -> "BlockSums | None":
        """Collect the seeds' blocks. None if a seed has no blocks, too few, or read another text than the others."""
        if not seeds or any(not seed or seed["words"] != seeds[0]["words"] for seed in seeds):
            return None
        names = [name for name in seeds[0] if all(name in seed for seed in seeds)]
        sums = {name: np.array([seed[name] for seed in seeds], np.float64) for name in names}
        return cls(sums) if sums["words"].shape[1] >= FEWEST_BLOCKS else None

    def __len__(self) -> int:
        return self.sums["words"].shape[1]

    @cached_property
    def totals(self) -> Sums:  # [1, S]
        return {name: blocks.sum(1)[None] for name, blocks in self.sums.items()}

    @property
    def resampled(self) -> Sums:  # [R, S]; the same documents for every seed, and for every cell of B blocks
        return resampled_sums(self)


class Difference(NamedTuple):
    """First system minus second system, in the unit of the metric, and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def interval(name: str, cell: BlockSums | None) -> tuple[float, float] | None:
    """Return the 95 % interval over documents of a metric's mean over seeds.

    None if the metric was not measured, or is undefined in more than 2.5 % of the resamples: one end of the interval
    may be among these.
    """
    formula = METRICS[name].formula
    if cell is None or formula is None:
        return None
    return percentile_interval(mean_over_seeds(formula, cell.resampled), len(cell))


def difference(name: str, ours: BlockSums | None, theirs: BlockSums | None) -> Difference | None:
    """Return the paired difference of a metric: both systems on the same resampled documents.

    The difficulty of a document for both systems cancels. If one system was ranked on fewer positions, both are
    compared on these. None if a system lacks the metric, or if the texts differ.
    """
    if not (ours and theirs and np.array_equal(ours.sums["words"][0], theirs.sums["words"][0])):
        return None
    formula = common_formula(name, ours, theirs)
    if formula is None:
        return None
    mean = mean_over_seeds(formula, ours.totals) - mean_over_seeds(formula, theirs.totals)
    resampled = mean_over_seeds(formula, ours.resampled) - mean_over_seeds(formula, theirs.resampled)
    ends = percentile_interval(resampled, len(ours))
    return Difference(float(mean[0]), *ends) if ends and np.isfinite(mean[0]) else None


def p_value(name: str, ours: BlockSums, theirs: BlockSums) -> float:
    """Return the two-sided p of a paired permutation test: swapping equal systems in a document changes nothing.

    Exact up to `EXACT_BLOCKS` blocks. A swap that leaves the metric undefined counts against a difference.
    """
    formula, seeds = common_formula(name, ours, theirs), lcm(len(ours.sums["words"]), len(theirs.sums["words"]))
    needed = {formula.numerator, formula.denominator} if isinstance(formula, Ratio) else ours.sums.keys()
    first, second = (
        {
            name: np.repeat(cell.sums[name], seeds // len(cell.sums[name]), 0)
            for name in needed & ours.sums.keys() & theirs.sums.keys()
        }
        for cell in (ours, theirs)
    )
    moved = {name: block_swaps(len(ours)) @ (second[name] - first[name]).T for name in first}  # [R, S]
    swapped_first = {name: first[name].sum(1) + moved[name] for name in first}
    swapped_second = {name: second[name].sum(1) - moved[name] for name in first}
    apart = np.abs(mean_over_seeds(formula, swapped_first) - mean_over_seeds(formula, swapped_second))  # [R]
    return float((~(apart < apart[0] * (1 - 1e-9))).mean())  # the first resample swaps nothing


def mean_over_seeds(formula: Formula, sums: Sums) -> NDArray[np.float64]:
    """Average a figure over seeds. [R, S] each -> [R]; [1] of NaN if a sum is missing"""
    return np.atleast_2d(evaluate(formula, sums)).mean(1)


def common_formula(name: str, ours: BlockSums, theirs: BlockSums) -> Formula | None:
    """Return a metric's formula over the positions that both systems were ranked on."""
    formula = METRICS[name].formula
    if not isinstance(formula, Ratio) or formula.denominator != "ranked":
        return formula
    is_same = np.array_equal(ours.sums["ranked"][0], theirs.sums["ranked"][0])
    return formula if is_same else Ratio(f"searched_{formula.numerator}", "searched", formula.transform)


def percentile_interval(values: NDArray[np.float64], blocks: int) -> tuple[float, float] | None:
    """Return percentiles, widened for few documents to those of Student's t (Hesterberg 2015). [R]"""
    defined = values[~np.isnan(values)]
    if len(defined) < (1 - UNDEFINED) * len(values):
        return None
    tail = stats.norm.cdf((blocks / (blocks - 1)) ** 0.5 * stats.t.ppf(0.025, blocks - 1))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


@lru_cache(maxsize=16)  # the cells of one table, not of a whole report
def resampled_sums(cell: BlockSums) -> Sums:
    return {name: resample_counts(len(cell)) @ blocks.T for name, blocks in cell.sums.items()}


@cache
def resample_counts(blocks: int) -> NDArray[np.float64]:
    """Draw how often each block is in each resample. [R, B]"""
    return np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLES).astype(np.float64)


@cache
def block_swaps(blocks: int) -> NDArray[np.float64]:
    """Return which blocks change sides: none at first, then every other choice, or random choices. [R, B]"""
    if blocks <= EXACT_BLOCKS:
        return (np.arange(2**blocks)[:, None] >> np.arange(blocks) & 1).astype(np.float64)
    random = np.random.default_rng(1).integers(0, 2, (SWAPS, blocks))
    return np.concatenate([np.zeros((1, blocks)), random])
