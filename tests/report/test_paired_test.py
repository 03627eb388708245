"""Paired test across seeds and documents: agreement with SciPy, and its size and power by simulation."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.evaluation.intervals import BlockSums, interval
from bench.report.paired_test import Part, holm, p_value, paired_test, sample_shape, t_test

NAME = "bits_per_byte"

BLOCKS, SYSTEMS, TABLES = 18, 4, 200  # documents of the Wikipedia sample; systems of a table; simulated tables

LARGEST_RATE = stats.binom.ppf(0.999, TABLES, 0.05) / TABLES  # of false findings by chance if the size is 5 %


def cell(bits: NDArray) -> BlockSums:
    """Return a cell of given bits per byte in documents of equal length. [S, B]"""
    size = np.full(bits.shape, 500.0)
    return BlockSums({"words": size / 5, "bytes": size, "nats": bits * size * np.log(2)})


def equal_systems(
    random: np.random.Generator, seeds: int, own: NDArray, seed_spread: float = 0.002, spread: float = 0.01
) -> list[BlockSums]:
    """Draw systems of equal quality: they share each document's difficulty, and differ by seed and by document.

    Args:
        own: what each system gains in each document whatever its seed; of mean zero over all texts. [systems, B]
        seed_spread: standard deviation over seeds, in bits per byte of any text.
        spread: standard deviation over seeds in one document, in addition.
    """
    difficulty = random.normal(2, 0.2, own.shape[1])
    by_seed = random.normal(0, seed_spread, (len(own), seeds, 1))
    noise = random.normal(0, spread, (len(own), seeds, own.shape[1]))
    return [cell(each) for each in difficulty + own[:, None] + by_seed + noise]


def has_false_finding(systems: list[BlockSums]) -> bool:
    """True if a table marks a system as different from the first, although all are equal."""
    tests = [paired_test(NAME, each, systems[0], (True, True)) for each in systems[1:]]
    return any(p < 0.05 for p in holm([test.p for test in tests]))


def unchanged(random: np.random.Generator) -> NDArray:
    return np.zeros((SYSTEMS, BLOCKS))


def skewed(random: np.random.Generator) -> NDArray:
    return without_baseline(0.02 * (random.exponential(1, (SYSTEMS, BLOCKS)) - 1))


def heavy_tailed(random: np.random.Generator) -> NDArray:
    return without_baseline(0.02 * random.standard_t(3, (SYSTEMS, BLOCKS)))


def without_baseline(own: NDArray) -> NDArray:
    """Leave out what the baseline gains in each document, so that differences keep the shape of what others gain."""
    return own * (np.arange(SYSTEMS) > 0)[:, None]


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("own", [unchanged, skewed, heavy_tailed])
def test_at_most_one_table_in_twenty_marks_a_system_when_all_are_equal(own, seeds: int):
    random = np.random.default_rng(seeds)
    found = [has_false_finding(equal_systems(random, seeds, own(random))) for _ in range(TABLES)]
    assert np.mean(found) <= LARGEST_RATE


def test_at_most_one_table_in_twenty_marks_a_system_when_seeds_alone_differ():
    random = np.random.default_rng(7)
    own = np.zeros((SYSTEMS, BLOCKS))
    found = [has_false_finding(equal_systems(random, 3, own, 0.01, 0.0)) for _ in range(TABLES)]
    assert np.mean(found) <= LARGEST_RATE


@pytest.mark.parametrize("blocks", [12, 18, 60])
def test_single_comparison_of_skewed_documents_keeps_its_size(blocks: int):
    """A t-test marks 6 to 10 % of these pairs, a paired permutation test as many."""
    random, p_values = np.random.default_rng(blocks), []
    for _ in range(2 * TABLES):
        own = np.stack([random.exponential(0.02, blocks) - 0.02, np.zeros(blocks)])
        first, second = equal_systems(random, 3, own, seed_spread=0, spread=0.001)
        p_values.append(paired_test(NAME, first, second, (True, True)).p)
    assert np.mean(np.array(p_values) < 0.05) <= stats.binom.ppf(0.999, 2 * TABLES, 0.05) / (2 * TABLES)


def test_difference_of_five_standard_errors_is_found_after_correction():
    random = np.random.default_rng(1)
    own = np.zeros((SYSTEMS, BLOCKS))
    found = 0
    for _ in range(50):
        own[1] = random.normal(0.05, 0.04, BLOCKS)  # standard error .0094 over documents, .002 over seeds
        reference, other, *rest = equal_systems(random, 3, own)
        tests = [paired_test(NAME, each, reference, (True, True)) for each in (other, *rest)]
        found += holm([test.p for test in tests])[0] < 0.05
    assert found >= 40


def test_no_p_value_exists_when_a_trained_system_has_one_seed():
    random = np.random.default_rng(2)
    one, other = equal_systems(random, 1, skewed(random)[:2])
    (three, _) = equal_systems(random, 3, skewed(random)[:2])
    for pair in ((one, other), (one, three), (three, one)):
        test = paired_test(NAME, *pair, (True, True))
        assert test.p is None
        assert test.low < test.mean < test.high
    assert paired_test(NAME, three, one, (True, False)).p is not None  # a count model has no training seeds


def test_p_value_equals_scipy_t_test_when_symmetric_documents_alone_vary():
    swing = np.array([0.03, 0.01, 0.02, 0.0, -0.01, 0.04, 0.05, 0.0, 0.06, 0.02])
    own = np.concatenate([swing, 0.04 - swing])  # symmetric about .02
    first, second = np.full((2, 20), 2.0) + own, np.full((2, 20), 2.0)  # the seeds agree
    test = paired_test(NAME, cell(first), cell(second), (True, True))
    theirs = stats.ttest_1samp(own, 0)
    assert test.p == pytest.approx(theirs.pvalue, rel=1e-6)
    assert test[:3] == pytest.approx((0.02, *theirs.confidence_interval()), abs=1e-9)


def test_p_value_equals_scipy_t_test_of_seeds_when_seeds_alone_vary():
    ours, theirs = np.array([2.0, 2.02, 2.01, 1.99]), np.array([2.05, 2.03, 2.04, 2.07])
    wide = [np.repeat(each[:, None], 12, 1) for each in (ours, theirs)]
    test = paired_test(NAME, *map(cell, wide), (True, True))
    assert test.p == pytest.approx(stats.ttest_ind(ours, theirs, equal_var=False).pvalue, rel=1e-6)


def test_interval_excludes_zero_exactly_when_p_is_below_five_percent():
    random = np.random.default_rng(3)
    for _ in range(200):
        own = np.stack([random.exponential(0.02, BLOCKS) - random.uniform(0, 0.04), np.zeros(BLOCKS)])
        test = paired_test(NAME, *equal_systems(random, 3, own), (True, True))
        assert (test.low > 0 or test.high < 0) == (test.p < 0.05)


def test_no_p_value_exists_below_twelve_documents():
    random = np.random.default_rng(4)
    pair = [np.repeat(random.normal(2, 0.1, (3, 1)), 12, 1) for _ in range(2)]
    assert paired_test(NAME, *map(cell, pair), (True, True)).p is not None
    assert paired_test(NAME, *(cell(each[:, :11]) for each in pair), (True, True)).p is None


def test_p_value_is_one_when_the_systems_are_the_same():
    same = cell(np.random.default_rng(4).normal(2, 0.1, (3, 12)))
    assert paired_test(NAME, same, same, (True, True)).p == 1


def test_perplexity_is_tested_by_its_nats_and_has_their_interval_transformed():
    random = np.random.default_rng(6)
    pair = equal_systems(random, 3, np.add(skewed(random)[:2], [[0.03], [0]]))
    per_byte, perplexity = (paired_test(name, *pair, (True, True)) for name in (NAME, "word_perplexity"))
    assert perplexity.p == pytest.approx(per_byte.p, rel=1e-6)  # documents of equal length
    at = pair[1].sums["nats"].mean(0).sum() / pair[1].sums["words"][0].sum()
    ends = [np.exp(at + 5 * np.log(2) * end) - np.exp(at) for end in per_byte[1:3]]
    assert perplexity[1:3] == pytest.approx(ends)
    assert perplexity.low < perplexity.mean < perplexity.high


def test_p_value_of_two_parts_is_between_those_of_each_part_alone():
    documents, seeds = Part(1.0, 17), Part(1.0, 2)
    both = p_value([documents, seeds], 3.0)
    assert p_value([documents], 3.0) < both < p_value([seeds], 3.0)
    assert t_test(3.0, [documents], 0.0)[2] == pytest.approx(2 * stats.t.sf(3, 17))


def hits(rate: NDArray | float, **more: NDArray | float) -> BlockSums:
    """Return a cell of one seed with 100 words in each of eight documents, and so many hits. [8]"""
    sums = {"words": 100.0, "ranked": 100.0, "hits_at_1": rate} | more
    return BlockSums({name: np.broadcast_to(each, (1, 8)).astype(float) for name, each in sums.items()})


def test_difference_uses_common_positions_when_a_system_is_ranked_on_fewer():
    searched = {"searched": 10.0, "searched_hits_at_1": np.arange(8.0)}
    every_word = hits(90.0, **searched)
    fewer = hits(np.arange(8.0) + 1, ranked=10.0, **searched | {"searched_hits_at_1": np.arange(8.0) + 1})
    test = paired_test("accuracy_at_1", fewer, every_word, (True, True))
    assert test[:3] == pytest.approx((0.1, 0.1, 0.1))
    assert paired_test("accuracy_at_5", fewer, every_word, (True, True)) is None
    assert paired_test("accuracy_at_1", fewer, hits(90.0), (True, True)) is None
    other_sample = hits(np.arange(8.0), ranked=5.0, searched=5.0, searched_hits_at_1=np.arange(8.0) / 2)
    assert paired_test("accuracy_at_1", other_sample, every_word, (True, True)) is None


def test_no_test_exists_when_a_metric_is_missing_or_texts_differ():
    assert paired_test("brier", hits(9.0), hits(9.0), (True, True)) is None
    assert paired_test("accuracy_at_1", hits(9.0), None, (True, True)) is None
    assert paired_test("accuracy_at_1", hits(9.0), hits(9.0, words=50.0), (True, True)) is None
    assert paired_test("accuracy_at_1", hits(9.0), hits(np.arange(8.0)), (True, True)).mean == pytest.approx(0.055)


def test_paired_documents_show_a_difference_although_intervals_of_the_systems_overlap():
    """Documents differ in difficulty far more than the systems differ in quality."""
    random = np.random.default_rng(7)
    difficulty = random.normal(0.3, 0.08, 20)
    ours = difficulty + 0.02 + random.normal(0, 0.01, 20)
    size = np.full((3, 20), 1000.0)
    pair = [BlockSums({"words": size, "ranked": size, "hits_at_1": size * rate}) for rate in (ours, difficulty)]
    test = paired_test("accuracy_at_1", *pair, (True, True))
    assert test.mean == pytest.approx(ours.mean() - difficulty.mean())
    assert 0.01 < test.low < test.mean < test.high < 0.03 and test.p < 0.001
    assert interval("accuracy_at_1", pair[0])[0] < interval("accuracy_at_1", pair[1])[1]


def test_shape_of_a_sample_equals_scipy():
    values = np.random.default_rng(5).exponential(1, 18)
    assert sample_shape(values) == pytest.approx((stats.skew(values, bias=False), stats.kurtosis(values, bias=False)))


def test_holm_correction_equals_hand_computed():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []
