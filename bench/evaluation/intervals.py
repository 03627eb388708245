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
from bench.evaluation.metrics import METRICS

MOST_BLOCKS = 256  # blocks per record; bounds the size of its file

FEWEST_BLOCKS = 6  # B documents all fall on one side of the median with probability 2^(1 − B): 95 % needs six

RESAMPLES, SWAPS = 10_000, 9_999  # resamples of an interval; random swaps of a permutation test

EXACT_BLOCKS = 13  # up to this number of blocks the permutation test tries every swap: 2^13 of them

UNDEFINED = 0.025  # largest share of resamples without a value for which an interval is returned


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Sums of one cell per block of documents; all seeds have the same blocks of the same test text."""

    sums: Sums  # [S, B]; only the sums that all seeds have

    @classmethod
    def from_seeds(cls, seeds: Sequence[Mapping[str, Sequence[float]]]) -> "BlockSums | None":
        """Collect the block sums of all seeds.

        None if a seed has no blocks or fewer than `FEWEST_BLOCKS`, or if two seeds read different texts.
        """
        if not seeds or any(not seed or seed["words"] != seeds[0]["words"] for seed in seeds):
            return None
        names = [name for name in seeds[0] if all(name in seed for seed in seeds)]
        sums = {name: np.array([seed[name] for seed in seeds], np.float64) for name in names}
        return cls(sums) if sums["words"].shape[1] >= FEWEST_BLOCKS else None

    def __len__(self) -> int:
        return self.sums["words"].shape[1]

    @cached_property
    def totals(self) -> Sums:
        """Sums over all blocks. [1, S]"""
        return {name: blocks.sum(1)[None] for name, blocks in self.sums.items()}

    @property
    def resampled(self) -> Sums:
        """Sums of resampled blocks; all seeds, and all cells of B blocks, share the resamples. [R, S]"""
        return resampled_sums(self)


class Difference(NamedTuple):
    """First system minus second system, in the unit of the metric, and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """True if the interval does not contain 0."""
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


def difference(name: str, first: BlockSums | None, second: BlockSums | None) -> Difference | None:
    """Return the paired difference of a metric, first minus second, on the same resampled documents.

    The difficulty that a document has for both systems cancels. If one system was ranked on fewer positions, both
    systems are compared on those positions. None if a system lacks the metric, or if the texts differ.
    """
    if not (first and second and np.array_equal(first.sums["words"][0], second.sums["words"][0])):
        return None
    formula = common_formula(name, first, second)
    if formula is None:
        return None
    mean = mean_over_seeds(formula, first.totals) - mean_over_seeds(formula, second.totals)
    resampled = mean_over_seeds(formula, first.resampled) - mean_over_seeds(formula, second.resampled)
    ends = percentile_interval(resampled, len(first))
    return Difference(float(mean[0]), *ends) if ends and np.isfinite(mean[0]) else None


def p_value(name: str, first: BlockSums, second: BlockSums) -> float:
    """Return the two-sided p-value of a paired permutation test.

    Null hypothesis: both systems are equal, so that swapping both in any document changes nothing. Exact up to
    `EXACT_BLOCKS` blocks. A swap that leaves the metric undefined counts against a difference.
    """
    formula, seeds = common_formula(name, first, second), lcm(len(first.sums["words"]), len(second.sums["words"]))
    needed = {formula.numerator, formula.denominator} if isinstance(formula, Ratio) else first.sums.keys()
    first_sums, second_sums = (
        {
            name: np.repeat(cell.sums[name], seeds // len(cell.sums[name]), 0)
            for name in needed & first.sums.keys() & second.sums.keys()
        }
        for cell in (first, second)
    )
    moved = {name: block_swaps(len(first)) @ (second_sums[name] - first_sums[name]).T for name in first_sums}  # [R, S]
    swapped_first = {name: first_sums[name].sum(1) + moved[name] for name in first_sums}
    swapped_second = {name: second_sums[name].sum(1) - moved[name] for name in first_sums}
    distance = np.abs(mean_over_seeds(formula, swapped_first) - mean_over_seeds(formula, swapped_second))  # [R]
    return float((~(distance < distance[0] * (1 - 1e-9))).mean())  # the first resample swaps nothing


def mean_over_seeds(formula: Formula, sums: Sums) -> NDArray[np.float64]:
    """Average a figure over seeds. [R, S] each -> [R]; [1] of NaN if a sum is missing"""
    return np.atleast_2d(evaluate(formula, sums)).mean(1)


def common_formula(name: str, first: BlockSums, second: BlockSums) -> Formula | None:
    """Return a metric's formula over the positions on which both systems were ranked; None if a formula is missing."""
    formula = METRICS[name].formula
    if not isinstance(formula, Ratio) or formula.denominator != "ranked":
        return formula
    is_same = np.array_equal(first.sums["ranked"][0], second.sums["ranked"][0])
    return formula if is_same else Ratio(f"searched_{formula.numerator}", "searched", formula.transform)


def percentile_interval(values: NDArray[np.float64], blocks: int) -> tuple[float, float] | None:
    """Return the 95 % percentile interval, widened for few documents by Student's t (Hesterberg 2015). [R]

    None if more than 2.5 % of the values are NaN.
    """
    defined = values[~np.isnan(values)]
    if len(defined) < (1 - UNDEFINED) * len(values):
        return None
    tail = stats.norm.cdf((blocks / (blocks - 1)) ** 0.5 * stats.t.ppf(0.025, blocks - 1))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


@lru_cache(maxsize=16)  # cells; enough for one table, and bounds the memory of a whole report
def resampled_sums(cell: BlockSums) -> Sums:
    """Return the sums of all resamples of a cell. [R, S]"""
    return {name: resample_counts(len(cell)) @ blocks.T for name, blocks in cell.sums.items()}


@cache
def resample_counts(blocks: int) -> NDArray[np.float64]:
    """Draw the number of times that each block is in each resample. [R, B]"""
    return np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLES).astype(np.float64)


@cache
def block_swaps(blocks: int) -> NDArray[np.float64]:
    """Return the blocks that are swapped, as 0 and 1: first none, then all other choices or random choices. [R, B]"""
    if blocks <= EXACT_BLOCKS:
        return (np.arange(2**blocks)[:, None] >> np.arange(blocks) & 1).astype(np.float64)
    random = np.random.default_rng(1).integers(0, 2, (SWAPS, blocks))
    return np.concatenate([np.zeros((1, blocks)), random])
