"""Intervals and paired tests: agreement with SciPy's, and coverage of a figure that is known."""

from math import isnan

import numpy as np
import pytest
from scipy import stats

from bench.evaluation import intervals
from bench.evaluation.intervals import BlockSums
from bench.evaluation.metric_registry import value

RATIO = "accuracy_at_1"  # hits / ranked


def cell(*seeds: np.ndarray, words: np.ndarray, **more: np.ndarray) -> BlockSums:
    """Seeds that were ranked on every word. [B] each"""
    found = [{"words": words, "ranked": words, "hits_at_1": hits} | more for hits in seeds]
    blocks = BlockSums.from_seeds([{name: list(sums) for name, sums in seed.items()} for seed in found])
    assert blocks is not None
    return blocks


def documents(random: np.random.Generator, blocks: int, rates: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    """Lengths, and the hits of systems that share what makes a document hard. [B] each"""
    words = np.round(random.lognormal(6, 0.7, blocks)).clip(50)
    hard, own = random.normal(0, 0.04, blocks), random.normal(0, 0.02, (len(rates), blocks))
    hits = [
        random.binomial(words.astype(int), (rate + hard + each).clip(0, 1))
        for rate, each in zip(rates, own, strict=True)
    ]
    return words, *(each.astype(float) for each in hits)


@pytest.mark.parametrize("blocks", [6, 25])
def test_interval_is_scipys_percentile_interval_at_the_corrected_level(blocks: int):
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


def test_interval_of_a_difference_is_scipys_with_both_on_the_same_documents():
    words, ours, theirs = documents(np.random.default_rng(12), 15, (0.3, 0.28))
    found = stats.bootstrap(
        (ours, theirs, words),
        lambda ours, theirs, words, axis: (ours.sum(axis) - theirs.sum(axis)) / words.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=50_000,
        confidence_level=1 - 2 * stats.norm.cdf((15 / 14) ** 0.5 * stats.t.ppf(0.025, 14)),
        rng=np.random.default_rng(2),
    )
    _, *ends = intervals.difference(RATIO, cell(ours, words=words), cell(theirs, words=words))
    assert ends == pytest.approx(list(found.confidence_interval), abs=0.12 * found.standard_error)


@pytest.mark.parametrize("blocks", [6, 9])
def test_p_value_is_scipys_exact_one(blocks: int):
    words, ours, theirs = documents(np.random.default_rng(11), blocks, (0.3, 0.3))

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return ours_of(a) - ours_of(b)

    def ours_of(which: np.ndarray) -> float:  # permuted indices, for a ratio needs both of its sums
        return np.concatenate([ours, theirs])[which.astype(int)].sum() / words.sum()

    here = np.arange(blocks)
    exact = stats.permutation_test((here, here + blocks), apart, permutation_type="samples", n_resamples=np.inf)
    assert intervals.p_value(RATIO, cell(ours, words=words), cell(theirs, words=words)) == exact.pvalue
    assert 2 ** (1 - blocks) < exact.pvalue < 1


def test_p_value_of_many_documents_is_close_to_the_exact_one(monkeypatch: pytest.MonkeyPatch):
    words, ours, theirs = documents(np.random.default_rng(4), 13, (0.3, 0.31))
    pair = cell(ours, words=words), cell(theirs, words=words)
    exact = intervals.p_value(RATIO, *pair)
    monkeypatch.setattr(intervals, "EXACT_BLOCKS", 0)
    monkeypatch.setattr(intervals, "block_swaps", intervals.block_swaps.__wrapped__)
    drawn = intervals.p_value(RATIO, *pair)
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=3.5 * (exact * (1 - exact) / intervals.SWAPS) ** 0.5)


@pytest.mark.parametrize("blocks", [8, 20])
def test_intervals_cover_what_they_should(blocks: int):
    """Of 200 texts, the interval of a figure and that of a difference hold the truth 90 to 99 times in a hundred."""
    random, draws, figure, apart = np.random.default_rng(5), 200, 0, 0
    for _ in range(draws):
        words, ours, theirs = documents(random, blocks, (0.3, 0.27))
        pair = cell(ours, words=words), cell(theirs, words=words)
        low, high = intervals.interval(RATIO, pair[0])
        figure += low <= 0.3 <= high
        found = intervals.difference(RATIO, *pair)
        apart += found.low <= 0.03 <= found.high
    assert 0.90 <= figure / draws <= 0.99
    assert 0.90 <= apart / draws <= 0.99


def test_p_values_of_equal_systems_are_uniform():
    random, found = np.random.default_rng(6), []
    for _ in range(200):
        words, ours, theirs = documents(random, 10, (0.3, 0.3))
        found.append(intervals.p_value(RATIO, cell(ours, words=words), cell(theirs, words=words)))
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_a_shift_that_documents_hide_is_found_in_pairs():
    """Documents vary far more than the systems differ: the two intervals overlap, that of the difference excludes 0."""
    random = np.random.default_rng(7)
    words, hard = np.full(20, 1000.0), random.normal(0.3, 0.08, 20)
    ours, theirs = words * (hard + 0.02 + random.normal(0, 0.01, 20)), words * hard
    pair = cell(ours, words=words), cell(theirs, words=words)
    found = intervals.difference(RATIO, *pair)
    assert found.mean == pytest.approx((ours.sum() - theirs.sum()) / words.sum())
    assert found.excludes_zero and 0.01 < found.low < found.mean < found.high < 0.03
    assert intervals.interval(RATIO, pair[0])[0] < intervals.interval(RATIO, pair[1])[1]
    assert intervals.p_value(RATIO, *pair) < 0.001


def test_seeds_are_averaged_on_the_same_documents():
    """Seeds that mirror each other: each varies, their mean does not, so its interval is a point."""
    words, swing = np.full(8, 100.0), np.array([-9, 5, 7, -3, 2, -6, 4, 0])
    both = cell(40 + swing, 20 - swing, words=words)
    assert intervals.interval(RATIO, both) == pytest.approx((0.3, 0.3))
    low, high = intervals.interval(RATIO, cell(40 + swing, words=words))
    assert high - low > 0.05
    found = intervals.difference(RATIO, both, cell(np.full(8, 30.0), words=words))  # two seeds against one
    assert found == pytest.approx((0, 0, 0), abs=1e-12)
    assert intervals.p_value(RATIO, both, cell(np.full(8, 10.0), words=words)) == 2 ** (1 - 8)


def test_systems_ranked_on_fewer_positions_are_compared_on_those():
    words, some = np.full(8, 100.0), np.full(8, 10.0)
    searched = {"searched": some, "searched_hits_at_1": np.arange(8.0)}
    all_of_them = cell(np.full(8, 90.0), words=words, **searched)
    fewer = cell(np.arange(8.0) + 1, words=words, ranked=some, **searched | {"searched_hits_at_1": np.arange(8.0) + 1})
    assert intervals.difference(RATIO, fewer, all_of_them) == pytest.approx((0.1, 0.1, 0.1))
    assert intervals.difference("accuracy_at_5", fewer, all_of_them) is None
    bare = cell(np.full(8, 90.0), words=words)
    assert intervals.difference(RATIO, fewer, bare) is None


def test_what_was_not_measured_has_no_interval():
    words, hits = documents(np.random.default_rng(8), 8, (0.3,))
    here = cell(hits, words=words)
    assert intervals.interval("brier", here) is None
    assert intervals.difference("brier", here, here) is None
    assert intervals.interval(RATIO, None) is None
    assert intervals.difference(RATIO, here, None) is None
    assert isnan(value("brier", here.sums))


def test_no_blocks_too_few_or_of_another_text_are_none():
    seed = {"words": [9.0] * 6, "ranked": [9.0] * 6, "hits_at_1": [1.0] * 6}
    assert len(BlockSums.from_seeds([seed, seed])) == 6
    assert BlockSums.from_seeds([]) is None
    assert BlockSums.from_seeds([seed, {}]) is None
    assert BlockSums.from_seeds([seed, seed | {"words": [8.0] * 6}]) is None
    assert BlockSums.from_seeds([{name: sums[:5] for name, sums in seed.items()}]) is None
    other = BlockSums.from_seeds([{name: [2 * each for each in sums] for name, sums in seed.items()}])
    assert intervals.difference(RATIO, BlockSums.from_seeds([seed]), other) is None


def test_brier_lm_has_an_interval_where_its_factors_are_safely_positive():
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


def test_every_formula_by_hand():
    sums = {name: np.array(total) for name, total in {"nats": 8.0, "words": 4.0, "bytes": 16.0}.items()}
    assert value("word_perplexity", sums) == pytest.approx(np.exp(2))
    assert value("bits_per_word", sums) == pytest.approx(2 / np.log(2))
    assert value("bits_per_byte", sums) == pytest.approx(0.5 / np.log(2))
