"""Intervals: agreement with SciPy, and coverage of a known value."""

from math import isnan

import numpy as np
import pytest
from scipy import stats

from bench.evaluation import intervals
from bench.evaluation.intervals import BlockSums
from bench.evaluation.metrics import value

RATIO = "accuracy_at_1"  # hits / ranked


def cell(*seeds: np.ndarray, words: np.ndarray, **more: np.ndarray) -> BlockSums:
    """Return the sums of seeds that were ranked on every word. [B] each"""
    sums_of_seeds = [{"words": words, "ranked": words, "hits_at_1": hits} | more for hits in seeds]
    blocks = BlockSums.from_seeds([{name: list(sums) for name, sums in seed.items()} for seed in sums_of_seeds])
    assert blocks is not None
    return blocks


def documents(random: np.random.Generator, blocks: int, rates: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    """Draw the lengths of documents and the hits of systems that share the difficulty of each document. [B] each"""
    words = np.round(random.lognormal(6, 0.7, blocks)).clip(50)
    shared, own = random.normal(0, 0.04, blocks), random.normal(0, 0.02, (len(rates), blocks))
    hits = [
        random.binomial(words.astype(int), (rate + shared + noise).clip(0, 1))
        for rate, noise in zip(rates, own, strict=True)
    ]
    return words, *(hits_of_one.astype(float) for hits_of_one in hits)


@pytest.mark.parametrize("blocks", [6, 25])
def test_interval_equals_scipy_percentile_interval_at_corrected_level(blocks: int):
    words, hits = documents(np.random.default_rng(1), blocks, (0.3,))
    corrected = 1 - 2 * stats.norm.cdf((blocks / (blocks - 1)) ** 0.5 * stats.t.ppf(0.025, blocks - 1))
    theirs = stats.bootstrap(
        (hits, words),
        lambda hits, words, axis: hits.sum(axis) / words.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=50_000,
        confidence_level=corrected,
        rng=np.random.default_rng(2),
    )
    assert corrected > 0.95
    assert intervals.interval(RATIO, cell(hits, words=words)) == pytest.approx(
        tuple(theirs.confidence_interval),
        abs=0.12 * theirs.standard_error,  # three standard errors of such a quantile
    )


@pytest.mark.parametrize("blocks", [8, 20])
def test_intervals_contain_true_value_at_nominal_rate(blocks: int):
    """In 90 to 99 % of 200 drawn texts."""
    random, draws, metric_hits = np.random.default_rng(5), 200, 0
    for _ in range(draws):
        words, hits = documents(random, blocks, (0.3,))
        low, high = intervals.interval(RATIO, cell(hits, words=words))
        metric_hits += low <= 0.3 <= high
    assert 0.90 <= metric_hits / draws <= 0.99


def test_interval_of_mean_over_seeds_resamples_seeds_together():
    """The deviations of two seeds cancel in each document, so that the interval of their mean is a point."""
    words, swing = np.full(8, 100.0), np.array([-9, 5, 7, -3, 2, -6, 4, 0])
    both = cell(40 + swing, 20 - swing, words=words)
    assert intervals.interval(RATIO, both) == pytest.approx((0.3, 0.3))
    low, high = intervals.interval(RATIO, cell(40 + swing, words=words))
    assert high - low > 0.05


def test_interval_is_none_when_metric_was_not_measured():
    words, hits = documents(np.random.default_rng(8), 8, (0.3,))
    measured = cell(hits, words=words)
    assert intervals.interval("brier", measured) is None
    assert intervals.interval(RATIO, None) is None
    assert isnan(value("brier", measured.sums))


def test_block_sums_are_none_when_blocks_are_missing_or_of_another_text():
    seed = {"words": [9.0] * 6, "ranked": [9.0] * 6, "hits_at_1": [1.0] * 6}
    assert len(BlockSums.from_seeds([seed, seed])) == 6
    assert BlockSums.from_seeds([]) is None
    assert BlockSums.from_seeds([seed, {}]) is None
    assert BlockSums.from_seeds([seed, seed | {"words": [8.0] * 6}]) is None
    five = BlockSums.from_seeds([{name: sums[:5] for name, sums in seed.items()}])
    assert len(five) == 5 and intervals.interval("accuracy_at_1", five) is None


def test_brier_lm_has_interval_only_when_factors_are_safely_positive():
    random, words = np.random.default_rng(9), np.full(20, 100.0)
    drawn = np.full(20, 25.0)

    def factors(noise: float) -> dict[str, np.ndarray]:
        return {f"brier_{n}": drawn * (0.1 / n + random.normal(0, noise, 20)) for n in (1, 2, 3, 4)}

    safe, unsafe = (cell(words, words=words, drawn=drawn, **factors(noise)) for noise in (0.01, 0.15))
    low, high = intervals.interval("brier_lm", safe)
    assert low < value("brier_lm", safe.totals) < high
    assert low == pytest.approx(100 * 0.1 / 24**0.25, rel=0.15)
    undefined = np.isnan(value("brier_lm", unsafe.resampled)).mean()
    assert undefined > intervals.UNDEFINED
    assert intervals.interval("brier_lm", unsafe) is None


def test_formulas_equal_hand_computed():
    sums = {name: np.array(total) for name, total in {"nats": 8.0, "words": 4.0, "bytes": 16.0}.items()}
    assert value("word_perplexity", sums) == pytest.approx(np.exp(2))
    assert value("bits_per_word", sums) == pytest.approx(2 / np.log(2))
    assert value("bits_per_byte", sums) == pytest.approx(0.5 / np.log(2))
