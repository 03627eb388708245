"""Confidence intervals of metrics, by resampling test documents.

A block is a test document, or several neighbouring documents if there are more than `MOST_BLOCKS`. A record keeps the
sums of each block, so that every reader of the record can resample. Words of one document depend on each other:
intervals resampled word by word would be too narrow. S seeds, B blocks, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.evaluation.metric_definition import Formula, Ratio, Sums, evaluate
from bench.evaluation.metrics import METRICS

MOST_BLOCKS = 256  # blocks per record; bounds the size of its file

FEWEST_BLOCKS = 6  # B documents all fall on one side of the median with probability 2^(1 − B): 95 % needs six

RESAMPLES = 10_000  # resamples of an interval

UNDEFINED = 0.025  # largest share of resamples without a value for which an interval is returned


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Sums of one cell per block of documents; all seeds have the same blocks of the same test text."""

    sums: Sums  # [S, B]; only the sums that all seeds have

    @classmethod
    def from_seeds(cls, seeds: Sequence[Mapping[str, Sequence[float]]]) -> "BlockSums | None":
        """Collect the block sums of all seeds; None if a seed has no blocks, or if two seeds read different texts."""
        if not seeds or any(not seed or seed["words"] != seeds[0]["words"] for seed in seeds):
            return None
        names = [name for name in seeds[0] if all(name in seed for seed in seeds)]
        sums = {name: np.array([seed[name] for seed in seeds], np.float64) for name in names}
        return cls(sums)

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


def same_words(cells: Sequence[BlockSums]) -> bool:
    """True if the sums of all cells are of the same test words."""
    return all(np.array_equal(each.sums["words"][0], cells[0].sums["words"][0]) for each in cells)


def interval(name: str, cell: BlockSums | None) -> tuple[float, float] | None:
    """Return the 95 % interval over documents of a metric's mean over seeds.

    None if the metric was not measured, if there are fewer than `FEWEST_BLOCKS` blocks, or if the metric is undefined
    in more than 2.5 % of the resamples: one end of the interval may be among these.
    """
    formula = METRICS[name].formula
    if cell is None or formula is None:
        return None
    return percentile_interval(mean_over_seeds(formula, cell.resampled), len(cell))


def mean_over_seeds(formula: Formula, sums: Sums) -> NDArray[np.float64]:
    """Average a figure over seeds. [R, S] each -> [R]; [1] of NaN if a sum is missing"""
    return np.atleast_2d(evaluate(formula, sums)).mean(1)


def common_formula(name: str, first: BlockSums, second: BlockSums) -> Formula | None:
    """Return a metric's formula over the positions on which both systems were ranked.

    None if a formula is missing, or if the systems were ranked on different samples (`evaluation.search_words`).
    """
    formula = METRICS[name].formula
    if not isinstance(formula, Ratio) or formula.denominator != "ranked":
        return formula
    if np.array_equal(first.sums["ranked"][0], second.sums["ranked"][0]):
        return formula
    samples = [cell.sums.get("searched") for cell in (first, second)]
    is_same = all(each is not None for each in samples) and np.array_equal(samples[0][0], samples[1][0])
    return Ratio(f"searched_{formula.numerator}", "searched", formula.transform) if is_same else None


def percentile_interval(values: NDArray[np.float64], blocks: int) -> tuple[float, float] | None:
    """Return the 95 % percentile interval, widened for few documents by Student's t (Hesterberg 2015). [R]

    None if more than 2.5 % of the values are NaN, or if there are fewer than `FEWEST_BLOCKS` blocks.
    """
    if blocks < FEWEST_BLOCKS:
        return None
    defined = values[~np.isnan(values)]
    if len(defined) < (1 - UNDEFINED) * len(values):
        return None
    tail = stats.norm.cdf((blocks / (blocks - 1)) ** 0.5 * stats.t.ppf(0.025, blocks - 1))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


@lru_cache(maxsize=16)  # cells; enough for one table, and bounds the memory of a whole report
def resampled_sums(cell: BlockSums) -> Sums:
    """Return the sums of all resamples of a cell. [R, S]

    One product for all sums reads the counts, 20 MB for 256 blocks, once.
    """
    stacked = np.concatenate(list(cell.sums.values()))  # [sums · S, B]
    parts = np.split(resample_counts(len(cell)) @ stacked.T, len(cell.sums), axis=1)
    return dict(zip(cell.sums, parts, strict=True))


@cache
def resample_counts(blocks: int) -> NDArray[np.float64]:
    """Draw the number of times that each block is in each resample. [R, B]"""
    return np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLES).astype(np.float64)
