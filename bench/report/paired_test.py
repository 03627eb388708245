"""Paired test of two systems across training seeds and test documents together.

D is the difference of a metric's means over seeds. Its squared standard error is the sum of two parts:

- documents: variance of the jackknife's pseudo-values of D over B blocks, divided by B. The difficulty that a block has
  for both systems cancels;
- seeds: variance of each trained system's figures over its S seeds, divided by S; the sum over both systems, with the
  degrees of freedom of Welch (1947).

Variance that depends on both seed and document is counted in both parts, so the test is conservative. A t-test is used
because three seeds can be neither resampled (a bootstrap of S seeds has (S − 1)/S of the variance) nor permuted.

The critical value is the mean of the parts' t quantiles, weighted by the parts (Cochran & Cox 1950). A test of skewed
differences is too liberal: D / error and its transformation by Hall (1992), which removes the skewness, must both be
beyond the critical value. Outliers make the documents' part uncertain: its degrees of freedom fall with the kurtosis
(Box 1953). tests/report/test_paired_test.py simulates the size.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from bench.evaluation.intervals import FEWEST_BLOCKS, BlockSums, common_formula, interval, same_words
from bench.evaluation.metric_definition import Formula, Ratio, evaluate

SIGNIFICANCE_LEVEL = 0.05  # size of the test; intervals cover 1 − SIGNIFICANCE_LEVEL

SMALLEST = 1e-12  # p values below are not distinguished: the normal approximation does not reach that far

LINE = 0.5  # slope of Hall's transformation of large values: power grows, and the simulated size hardly

SKEW_FACTOR = 2.0  # a small sample shows too little skewness; by simulation, less would leave the test too liberal

FEWEST_DOCUMENTS = 12  # with fewer, skewed documents give a false † in up to 9 % of tables

TINY = 1e-9  # skewness below is the rounding of floats


class PairedTest(NamedTuple):
    """First system minus second system, in the unit of the metric, with its 95 % interval.

    `p` is two-sided; None if a trained system has one seed, for which the interval holds for the trained models alone,
    or if there are fewer than `FEWEST_DOCUMENTS` blocks of documents.
    """

    mean: float
    low: float
    high: float
    p: float | None


class Part(NamedTuple):
    """Part of a squared standard error, and its degrees of freedom."""

    variance: float
    freedom: float


def paired_test(
    name: str, first: BlockSums | None, second: BlockSums | None, trained: tuple[bool, bool]
) -> PairedTest | None:
    """Compare two systems by one metric, on the same blocks of documents.

    A ratio is tested before its transformation, since exp(nats) of a document may be huge; the ends of the interval are
    transformed at the second system's value.

    Args:
        trained: True for a system that other training seeds change; a count model and a known truth have no such part.

    Returns:
        None if a system lacks the metric, if the metric is undefined without one of the blocks, if the texts differ, or
        if they have fewer than `FEWEST_BLOCKS` blocks.
    """
    if first is None or second is None or len(first) < FEWEST_BLOCKS:
        return None
    if not same_words([first, second]):
        return None
    formula = common_formula(name, first, second)
    if formula is None or (not isinstance(formula, Ratio) and None in (interval(name, first), interval(name, second))):
        return None
    tested = replace(formula, transform=np.asarray) if isinstance(formula, Ratio) else formula
    (ours, ours_without), (theirs, theirs_without) = (jackknifed(tested, each) for each in (first, second))
    blocks, mean = len(first), float(ours.mean() - theirs.mean())
    pseudo_values = blocks * mean - (blocks - 1) * (ours_without - theirs_without)  # [B]
    if not np.isfinite([mean, *pseudo_values]).all():
        return None
    parts, skewness = [], 0.0
    if pseudo_values.std() > 1e-9 * np.abs([*ours, *theirs]).max():  # else equal except for the rounding of floats
        skew, excess = sample_shape(pseudo_values)
        freedom = 2 * blocks / (max(0.0, excess) + 2 * blocks / (blocks - 1))
        parts.append(Part(float(pseudo_values.var(ddof=1)) / blocks, freedom))
        skewness = SKEW_FACTOR * skew / blocks**0.5 * parts[0].variance ** 1.5
    seeds = [values for values, varies in zip((ours, theirs), trained, strict=True) if varies]
    is_known = all(len(values) > 1 for values in seeds)
    parts += [welch(seeds)] if is_known and any(np.ptp(each) > 0 for each in seeds) else []
    low, high, p = t_test(mean, parts, skewness)
    if isinstance(formula, Ratio):
        at = theirs.mean()
        low, high = (float(formula.transform(at + end) - formula.transform(at)) for end in (low, high))
        mean = float(formula.transform(ours).mean() - formula.transform(theirs).mean())
    return PairedTest(mean, low, high, p if is_known and blocks >= FEWEST_DOCUMENTS else None)


def welch(seeds: Sequence[NDArray[np.float64]]) -> Part:
    """Return the part of the training seeds, with the degrees of freedom of Welch (1947). [S] each"""
    variances = [float(values.var(ddof=1)) / len(values) for values in seeds]
    uncertainty = sum(each**2 / (len(values) - 1) for each, values in zip(variances, seeds, strict=True))
    return Part(sum(variances), sum(variances) ** 2 / uncertainty)


def jackknifed(formula: Formula, cell: BlockSums) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a metric of each seed [S], and its mean over seeds without each block [B]."""
    totals = {name: sums.sum(1) for name, sums in cell.sums.items()}
    others = {name: sums.sum(1, keepdims=True) - sums for name, sums in cell.sums.items()}
    return np.atleast_1d(evaluate(formula, totals)), np.atleast_2d(evaluate(formula, others)).mean(0)


def sample_shape(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the skewness and the excess kurtosis of a sample, both corrected for its size. [B]"""
    n, centred = len(values), values - values.mean()
    second, third, fourth = ((centred**power).mean() for power in (2, 3, 4))
    skew = third / second**1.5 * (n * (n - 1)) ** 0.5 / (n - 2)
    excess = ((n + 1) * (fourth / second**2 - 3) + 6) * (n - 1) / ((n - 2) * (n - 3))
    return float(skew), float(excess)


def t_test(mean: float, parts: Sequence[Part], skewness: float) -> tuple[float, float, float]:
    """Return the ends of the 95 % interval and the two-sided p value of a mean.

    Args:
        parts: parts of the squared standard error; a part of zero is left out.
        skewness: third cumulant of the mean.
    """
    if not parts:
        return mean, mean, SMALLEST if abs(mean) > SMALLEST else 1.0
    error = sum(part.variance for part in parts) ** 0.5
    a = skewness / error**3
    value, limit = mean / error, critical_value(parts, SIGNIFICANCE_LEVEL)
    ends = [limit, -limit, inverse_hall(limit, a), inverse_hall(-limit, a)]
    both = (value, hall(value, a))
    smaller = min(map(abs, both)) if both[0] * both[1] > 0 else 0.0
    return mean - error * max(ends), mean - error * min(ends), p_value(parts, smaller)


def critical_value(parts: Sequence[Part], p: float) -> float:
    """Return the mean of the parts' two-sided t quantiles, weighted by the parts (Cochran & Cox 1950)."""
    quantiles = [-float(special.stdtrit(part.freedom, p / 2)) for part in parts]
    weighted = sum(part.variance * quantile for part, quantile in zip(parts, quantiles, strict=True))
    return weighted / sum(part.variance for part in parts)


def p_value(parts: Sequence[Part], value: float) -> float:
    """Return the p whose critical value is `value`."""
    if value >= critical_value(parts, SMALLEST):
        return SMALLEST
    if value <= 0:
        return 1.0
    root = optimize.brentq(lambda log_p: critical_value(parts, np.exp(log_p)) - value, np.log(SMALLEST), 0.0)
    return float(np.exp(root))


def hall(value: float, a: float) -> float:
    """Transform a studentised mean so that its distribution is symmetric (Hall 1992); `a` is the mean's skewness.

    The cubic is flat at −3/a, where its approximation has no meaning: a line continues the cubic from half this value.
    """
    end = cubic_end(a)
    if value / end > 1:
        return cubic(end, a) + LINE * (value - end)
    return cubic(value, a)


def inverse_hall(value: float, a: float) -> float:
    """Return the studentised mean whose transformation is `value`."""
    end = cubic_end(a)
    beyond = value - cubic(end, a)
    if beyond * end > 0:
        return end + beyond / LINE
    return value if abs(a) < TINY else float(3 / a * (np.cbrt(1 + a * (value - a / 6)) - 1))


def cubic(value: float, a: float) -> float:
    """Return Hall's cubic."""
    return value + a * value**2 / 3 + a**2 * value**3 / 27 + a / 6


def cubic_end(a: float) -> float:
    """Return the studentised mean from which on a line replaces the cubic; its sign is that of the flat part."""
    return -1.5 / a if abs(a) >= TINY else 1.5 / TINY


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number, so that the chance of one false finding is at most the level (Holm 1979)."""
    order = np.argsort(p_values)
    factors = np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    return corrected.tolist()
