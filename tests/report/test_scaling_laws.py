"""Fits of known laws, and crossovers computed by algebra."""

from math import inf

import numpy as np
import pytest

from bench.report.crossovers import MeasuredOrder, break_even, crossover, measured_order
from bench.report.scaling_laws import LEAST_ERROR, Law, errors, evaluate, fit, interval

SIZES = np.array([1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6])


def spans(times: np.ndarray, noise: float, seed: int = 0, rounds: int = 20) -> np.ndarray:
    """Return p20, median and p80 of `rounds` times whose logarithm has the standard deviation `noise`. [P] -> [P, 3]"""
    error = noise * np.sqrt(np.pi / 2 / rounds)
    middle = times * np.exp(np.random.default_rng(seed).normal(size=len(times)) * error)
    return np.stack([middle * np.exp(-0.8416 * noise), middle, middle * np.exp(0.8416 * noise)], 1)


def law(fixed: float, slope: float, growth: float, spread: float = 0.0) -> Law:
    """Return a law whose draws differ from it by a factor, the same for its constant and its growing part."""
    known = np.array([fixed, slope, growth])
    scales = np.exp(spread * np.linspace(-2, 2, 41))[:, None]
    return Law(known, known * np.hstack([scales, scales, scales**0]), 1_000_000, 0.0)


@pytest.mark.parametrize("known", [(0.5, 0.2, 0.97), (0.01, 0.3, 0.5), (5.0, 0.02, 1.0), (3.0, 0.5, 0.6)])
def test_fit_recovers_a_known_law_from_noisy_times(known: tuple[float, float, float]):
    fitted = fit(SIZES, spans(evaluate(np.array(known), SIZES), 0.05), rounds=20)
    for i, true in enumerate(known):
        low, high = interval(fitted.draws[:, i])
        assert low <= true <= high
    assert fitted.parameters[2] == pytest.approx(known[2], abs=0.05)
    assert fitted.at(SIZES) == pytest.approx(evaluate(np.array(known), SIZES), rel=0.05)
    low, high = interval(fitted.drawn(1e7)[:, 0])
    assert low < evaluate(np.array(known), np.array(1e7)) < high
    assert high / low < 1.6


def test_fit_is_exact_without_noise():
    known = np.array([0.7, 0.11, 0.83])
    times = evaluate(known, SIZES)
    fitted = fit(SIZES, np.stack([times] * 3, 1), rounds=20, draws=2)
    assert fitted.parameters == pytest.approx(known, rel=1e-4)
    assert fitted.misfit < 1e-5


def test_intervals_cover_the_true_growth_in_95_percent_of_fits():
    known, inside = np.array([1.0, 0.1, 0.9]), []
    for seed in range(60):
        times = np.exp(np.random.default_rng(seed).normal(size=7) * 0.04) * evaluate(known, SIZES)
        spread = np.exp(0.8416 * np.array([-1, 0, 1]) * np.sqrt(0.04**2 - LEAST_ERROR**2) / np.sqrt(np.pi / 2 / 20))
        fitted = fit(SIZES, times[:, None] * spread, rounds=20, draws=60)
        low, high = interval(fitted.draws[:, 2])
        inside.append(low <= known[2] <= high)
    assert 0.83 <= np.mean(inside) < 1


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_constant_times_give_a_flat_law(noise: float):
    fitted = fit(SIZES, spans(np.full(7, 2.0), noise), rounds=20)
    assert fitted.is_flat
    assert fitted.parameters[1:].tolist() == [0, 0]
    assert fitted.parameters[0] == pytest.approx(2.0, rel=0.03)
    low, high = interval(fitted.drawn(3e4)[:, 0])
    assert low < 2.0 < high < 2.2


def test_extrapolated_interval_of_a_flat_law_contains_the_law():
    fitted = fit(SIZES, spans(np.full(7, 9.17), 0.1, seed=3), rounds=5)
    low, high = interval(fitted.drawn(1e7)[:, 0])
    assert low < fitted.at(1e7) < high
    assert np.mean(fitted.draws[:, 1] == 0) > 0.8  # a draw of a flat law is flat by the same test


def test_growth_is_bounded_when_times_grow_as_a_square():
    fitted = fit(SIZES, spans(SIZES**2, 0.01), rounds=20, draws=2)
    assert fitted.parameters[2] == pytest.approx(1.5)
    assert fitted.misfit > 0.2


def test_falling_times_give_a_flat_law_with_a_large_misfit():
    fitted = fit(SIZES, spans(SIZES**-0.1, 0.01), rounds=20, draws=20)
    assert fitted.is_flat
    assert fitted.misfit > 0.2


def test_fewer_than_four_sizes_give_no_law():
    assert fit(SIZES[:3], spans(SIZES[:3], 0.05), rounds=20) is None


def test_points_off_the_law_widen_its_intervals():
    times = evaluate(np.array([0.5, 0.2, 0.9]), SIZES)
    zigzag = times * 1.2 ** np.array([1, -1, 1, -1, 1, -1, 1])
    width = [np.ptp(interval(fit(SIZES, spans(each, 0.02), rounds=20).draws[:, 2])) for each in (times, zigzag)]
    assert width[1] > 3 * width[0]


def test_errors_equal_the_standard_error_of_a_median():
    draws = np.exp(np.random.default_rng(0).normal(size=(4000, 50)) * 0.3)
    quantiles = np.quantile(draws, [0.2, 0.5, 0.8], axis=1).T
    known = np.log(quantiles[:, 1]).std()
    assert np.median(errors(quantiles, 50)) == pytest.approx(np.hypot(known, LEAST_ERROR), rel=0.05)


def test_crossover_of_two_known_laws_agrees_with_algebra():
    at = crossover(law(5.0, 0, 0, -0.05), law(1.0, 0.4, 0.5, 0.05), 1000)  # 1 + 0.4 √(V/1000) = 5
    assert at.size == pytest.approx(100_000, rel=1e-9)
    assert not at.until
    assert at.low < 100_000 < at.high < 400_000
    back = crossover(law(1.0, 0.4, 0.5, 0.05), law(5.0, 0, 0, -0.05), 1000)
    assert back.size == pytest.approx(100_000, rel=1e-9)
    assert back.until
    certain = crossover(law(5.0, 0, 0), law(1.0, 0.4, 0.5), 1000)
    assert (certain.low, certain.high) == (pytest.approx(100_000, rel=1e-3),) * 2


def test_crossover_is_never_or_always_when_one_cost_is_lower_at_every_size():
    flat, dear = law(1.0, 0, 0), law(2.0, 1.0, 1.0)
    always, never = crossover(flat, dear, 1000), crossover(dear, flat, 1000)
    assert (always.size, always.low, always.high, always.until) == (0, 0, 0, False)
    assert (never.size, never.low, never.high, never.until) == (inf, inf, inf, False)


def test_crossover_of_indistinguishable_costs_reaches_both_ends():
    at = crossover(law(1.0, 0.1, 1.0, 0.1), law(1.001, 0.1, 1.0, 0.1), 1000)
    one, other = law(1.0, 0.1, 1.0, 0.1), law(1.001, 0.1, 1.0, -0.1)
    assert (at.low, at.high) == (0, 0)  # draws that vary together distinguish the two
    assert (crossover(one, other, 1000).low, crossover(one, other, 1000).high) == (0, inf)


def test_measured_order_leaves_out_sizes_whose_spans_overlap():
    ours = {1: [1.0, 2.0, 3.0], 10: [1.0, 1.1, 1.2], 100: [4.0, 5.0, 6.0], 1000: [1.0, 1.0, 1.0]}
    theirs = {1: [2.5, 3.0, 4.0], 10: [2.0, 2.1, 2.2], 100: [1.0, 2.0, 3.0], 1000: [1.01, 1.01, 1.01], 5: [1.0] * 3}
    assert measured_order(ours, theirs) == MeasuredOrder(cheaper=[10], dearer=[100])


def test_clear_measurements_contradict_laws_of_the_opposite_order():
    flat, growing = law(5.0, 0, 0), law(1.0, 0.4, 0.5)  # equal at V = 100,000
    assert not MeasuredOrder(cheaper=[300_000], dearer=[1000]).contradicts(flat, growing)
    assert MeasuredOrder(cheaper=[1000], dearer=[]).contradicts(flat, growing)
    assert MeasuredOrder(cheaper=[], dearer=[300_000]).contradicts(flat, growing)
    assert not MeasuredOrder(cheaper=[], dearer=[]).contradicts(flat, growing)


def test_break_even_divides_the_encoding_by_the_time_saved():
    ours, theirs = np.array([0.9, 1.0, 1.1]), np.array([2.9, 3.0, 3.1])
    epochs = break_even(10.0, ours, theirs, rounds=20)
    assert epochs.count == pytest.approx(5)
    assert 4 < epochs.low < 5 < epochs.high < 6
    assert break_even(10.0, theirs, ours, rounds=20).count == inf
    uncertain = break_even(10.0, ours, ours * 1.001, rounds=20)
    assert uncertain.count == pytest.approx(10_000)
    assert uncertain.high == inf
