"""Figures as functions of sums over test documents: their intervals and paired differences, by resampling documents.

A block is a test document, or neighbouring ones where there are more than `MOST_BLOCKS`. A record keeps each block's
sums, so that whoever has the record can resample. Words of one document depend on each other: resampled word by word,
intervals would be too narrow. S seeds, B blocks, R resamples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from math import lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MOST_BLOCKS = 256

FEWEST_BLOCKS = 6  # the range of B documents misses their median with probability 2^(1 − B): below, nothing is 95 %

RESAMPLES, SWAPS, EXACT_BLOCKS = 10_000, 9_999, 13

UNDEFINED = 0.025  # the largest share of resamples without a value that an interval passes over

Sums = Mapping[str, NDArray[np.float64]]  # statistic -> [..., B], or summed [...]


class Formula(NamedTuple):
    """A figure as a ratio of two sums, transformed."""

    sum: str
    over: str
    then: Callable[[NDArray], NDArray] = np.asarray


def brier_lm(sums: Sums) -> NDArray[np.float64]:
    """100 · (Π Brier-n)^¼, n = 1 … 4; not a number where a factor is not positive. [...]"""
    factors = np.stack([sums[f"brier_{n}"] / sums["drawn"] for n in (1, 2, 3, 4)])
    product = np.where((factors > 0).all(0), factors.prod(0), np.nan)
    return 100 * product**0.25


FORMULAS: dict[str, Formula | Callable[[Sums], NDArray]] = {
    **{
        f"{kind}accuracy_at_{k}": Formula(f"{kind}hits_at_{k}", "ranked")
        for kind in ("", "calibrated_")
        for k in (1, 5, 10)
    },
    "mrr_at_10": Formula("reciprocals_at_10", "ranked"),
    "calibrated_mrr_at_10": Formula("calibrated_reciprocals_at_10", "ranked"),
    "word_perplexity": Formula("nats", "words", np.exp),
    "bits_per_word": Formula("nats", "words", lambda nats: nats / np.log(2)),
    "bits_per_byte": Formula("nats", "bytes", lambda nats: nats / np.log(2)),
    "bits_per_raw_byte": Formula("nats", "raw_bytes", lambda nats: nats / np.log(2)),
    "closed_perplexity": Formula("known_nats", "known", np.exp),
    "raw_closed_perplexity": Formula("raw_known_nats", "known", np.exp),
    "rank_perplexity": Formula("rank_nats", "known", np.exp),
    "brier": Formula("brier", "words"),
    "brier_lm": brier_lm,
}


def value(field: str, sums: Sums) -> NDArray[np.float64]:
    """A figure of sums over blocks; not a number where it is undefined or was not measured. [...] each -> [...]"""
    return evaluated(FORMULAS[field], sums)


def evaluated(formula: Formula | Callable[[Sums], NDArray], sums: Sums) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        try:
            if isinstance(formula, Formula):
                return formula.then(np.asarray(sums[formula.sum]) / sums[formula.over])
            return formula(sums)
        except KeyError:
            return np.asarray(np.nan)


@dataclass(frozen=True, eq=False)
class Blocks:
    """One cell's sums: every seed's over the same blocks of the same test text."""

    sums: Sums  # [S, B]; the statistics that every seed has

    @classmethod
    def of(cls, seeds: Sequence[Mapping[str, Sequence[float]]]) -> "Blocks | None":
        """None where a seed has no blocks, where they are too few, or where the seeds read different texts."""
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
    def resampled(self) -> Sums:  # [R, S]; the same documents for every seed, and for every cell of as many blocks
        return resampled(self)


class Difference(NamedTuple):
    """Ours minus theirs, in the unit of the figure, and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def interval(field: str, cell: Blocks | None) -> tuple[float, float] | None:
    """95 % interval over documents of the mean over seeds.

    None where the figure was not measured, or is undefined in more than 2.5 % of the resamples: an end may lie there.
    """
    return cell and expanded(mean(FORMULAS[field], cell.resampled), len(cell))


def difference(field: str, ours: Blocks | None, theirs: Blocks | None) -> Difference | None:
    """Both on the same resampled documents, so what makes a document hard for both cancels.

    Where one was ranked on fewer positions, both are compared on those. None where either lacks the figure.
    """
    if not (ours and theirs and np.array_equal(ours.sums["words"][0], theirs.sums["words"][0])):
        return None
    formula = common(field, ours, theirs)
    apart = mean(formula, ours.totals) - mean(formula, theirs.totals)
    ends = expanded(mean(formula, ours.resampled) - mean(formula, theirs.resampled), len(ours))
    return Difference(float(apart[0]), *ends) if ends and np.isfinite(apart[0]) else None


def p_value(field: str, ours: Blocks, theirs: Blocks) -> float:
    """Two-sided paired permutation test: were the systems alike, to swap them in a document would change nothing.

    Exact up to `EXACT_BLOCKS` blocks. A swap that leaves the figure undefined counts against a difference.
    """
    formula, seeds = common(field, ours, theirs), lcm(len(ours.sums["words"]), len(theirs.sums["words"]))
    read = set(formula[:2]) if isinstance(formula, Formula) else ours.sums.keys()
    here, there = (
        {
            name: np.repeat(cell.sums[name], seeds // len(cell.sums[name]), 0)
            for name in read & ours.sums.keys() & theirs.sums.keys()
        }
        for cell in (ours, theirs)
    )
    moved = {name: swapped(len(ours)) @ (there[name] - here[name]).T for name in here}  # [R, S]
    mine = mean(formula, {name: here[name].sum(1) + moved[name] for name in here})
    apart = np.abs(mine - mean(formula, {name: there[name].sum(1) - moved[name] for name in here}))  # [R]
    return float((~(apart < apart[0] * (1 - 1e-9))).mean())  # the first swaps nothing


def mean(formula: Formula | Callable[[Sums], NDArray], sums: Sums) -> NDArray[np.float64]:
    """Over seeds. [R, S] each -> [R]; [1] of no number where the sums lack the figure"""
    return np.atleast_2d(evaluated(formula, sums)).mean(1)


def common(field: str, ours: Blocks, theirs: Blocks) -> Formula | Callable[[Sums], NDArray]:
    """The figure over the positions that both were ranked on."""
    formula = FORMULAS[field]
    if not isinstance(formula, Formula) or formula.over != "ranked":
        return formula
    alike = np.array_equal(ours.sums["ranked"][0], theirs.sums["ranked"][0])
    return formula if alike else Formula(f"searched_{formula.sum}", "searched", formula.then)


def expanded(values: NDArray[np.float64], blocks: int) -> tuple[float, float] | None:
    """Percentiles, widened for few documents to where Student's t would put them (Hesterberg 2015). [R]"""
    defined = values[~np.isnan(values)]
    if len(defined) < (1 - UNDEFINED) * len(values):
        return None
    tail = stats.norm.cdf((blocks / (blocks - 1)) ** 0.5 * stats.t.ppf(0.025, blocks - 1))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


@lru_cache(maxsize=16)  # the cells of a table, not of a report
def resampled(cell: Blocks) -> Sums:
    return {name: resamples(len(cell)) @ blocks.T for name, blocks in cell.sums.items()}


@cache
def resamples(blocks: int) -> NDArray[np.float64]:
    """How often each block is drawn. [R, B]"""
    return np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLES).astype(np.float64)


@cache
def swapped(blocks: int) -> NDArray[np.float64]:
    """Which blocks change sides: none at first, then every other choice of them, or random ones. [R, B]"""
    if blocks <= EXACT_BLOCKS:
        return (np.arange(2**blocks)[:, None] >> np.arange(blocks) & 1).astype(np.float64)
    random = np.random.default_rng(1).integers(0, 2, (SWAPS, blocks))
    return np.concatenate([np.zeros((1, blocks)), random])
