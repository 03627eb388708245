"""Calibration against SciPy, against the parameters of synthetic data, and for scores without information."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from bench.core.errors import Diverged
from bench.evaluation.calibration import Calibration, fit, moments

POSITIONS, SIZE = 1500, 60


@pytest.fixture(scope="module")
def log_unigram() -> torch.Tensor:
    shares = 1 / torch.arange(1.0, SIZE + 1)
    return (shares / shares.sum()).log()


@pytest.fixture(scope="module")
def scores() -> torch.Tensor:
    return torch.randn(POSITIONS, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def words(scores, log_unigram) -> torch.Tensor:
    """Words drawn from softmax(1.5 score + 0.6 log unigram)."""
    p = (1.5 * scores + 0.6 * log_unigram).softmax(1)
    return torch.multinomial(p, 1, generator=torch.Generator().manual_seed(1))[:, 0]


def blocks(scores: torch.Tensor, words: torch.Tensor):
    """Return a function that yields two blocks of unequal size; its attribute `calls` counts its calls."""

    def two_blocks():
        two_blocks.calls += 1
        return [(scores[:100], words[:100]), (scores[100:], words[100:])]

    two_blocks.calls = 0
    return two_blocks


def mean_nats(scores, words, log_unigram, scale: float, prior: float) -> float:
    """Compute the mean nats in double precision."""
    logits = scale * scores.double() + prior * log_unigram.double()
    return float(torch.nn.functional.cross_entropy(logits, words))


@pytest.fixture(scope="module")
def best(scores, words, log_unigram) -> np.ndarray:
    """a and b by SciPy's Nelder-Mead method, which needs no gradient."""

    def objective(at):
        return mean_nats(scores, words, log_unigram, *at)

    result = minimize(objective, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10})
    assert result.success
    return result.x


def test_fit_equals_scipy_minimum(scores, words, log_unigram, best):
    calibration = fit(blocks(scores, words), log_unigram)
    expected = mean_nats(scores, words, log_unigram, *best)
    assert mean_nats(scores, words, log_unigram, *calibration) == pytest.approx(expected, abs=1e-7)
    np.testing.assert_allclose(calibration, best, atol=1e-4)


def test_fit_recovers_parameters_of_synthetic_data(scores, words, log_unigram):
    calibration = fit(blocks(scores, words), log_unigram)
    np.testing.assert_allclose(calibration, [1.5, 0.6], atol=0.1)
    p = (1.5 * scores + 0.6 * log_unigram).log_softmax(1)  # already calibrated
    np.testing.assert_allclose(fit(blocks(p, words), log_unigram), [1, 0], atol=0.1)


def test_moments_equal_autograd_derivatives(scores, words, log_unigram):
    at = torch.tensor([0.7, 0.3], dtype=torch.float64)

    def objective(at):
        logits = at[0] * scores.double() + at[1] * log_unigram.double()
        return torch.nn.functional.cross_entropy(logits, words)

    nats, gradient, hessian = moments(blocks(scores, words), log_unigram, at)
    assert nats == pytest.approx(float(objective(at)), abs=1e-6)
    slope = torch.autograd.functional.jacobian(objective, at)
    curvature = torch.autograd.functional.hessian(objective, at)
    torch.testing.assert_close(gradient, slope, atol=1e-6, rtol=0)
    torch.testing.assert_close(hessian, curvature, atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [-1.0, 1e-8, 1e-4, 30.0, 1e10])
def test_fit_is_independent_of_the_unit_of_scores(scores, words, log_unigram, factor):
    expected, scaled = fit(blocks(scores, words), log_unigram), blocks(scores * factor, words)
    scale, prior = fit(scaled, log_unigram)
    np.testing.assert_allclose([scale * factor, prior], expected, rtol=1e-4)
    assert scaled.calls <= 6


@pytest.mark.parametrize("offset", [-300.0, 1e4])
def test_fit_is_independent_of_an_offset_of_scores(scores, words, log_unigram, offset):
    shifted = blocks(scores + offset, words)
    np.testing.assert_allclose(fit(shifted, log_unigram), fit(blocks(scores, words), log_unigram), rtol=1e-3)
    assert shifted.calls <= 6


@pytest.mark.parametrize("constant", [0.0, 1.0, -5.0, 3.7, 1e4])
def test_fit_gives_unigram_when_scores_are_constant(log_unigram, constant):
    counts = (840 / torch.arange(1, 8)).long()  # the unigram of the words themselves
    own = (counts / counts.sum()).log()
    words = torch.arange(7).repeat_interleave(counts)
    calibration = fit(blocks(torch.full((len(words), 7), constant), words), own)
    assert calibration.scale == 0
    assert calibration.prior == pytest.approx(1, abs=1e-4)
    distribution = calibration.logits(torch.full((1, 7), constant), own).softmax(1)
    torch.testing.assert_close(distribution[0], own.exp(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("constant", [0.0, -5.0, 1e4])
def test_fit_finds_prior_when_scores_are_constant(words, log_unigram, constant):
    calibration = fit(blocks(torch.full((POSITIONS, SIZE), constant), words), log_unigram)
    own = minimize(lambda b: mean_nats(torch.zeros(POSITIONS, SIZE), words, log_unigram, 0, b[0]), [1.0])
    assert calibration.prior == pytest.approx(own.x[0], abs=1e-3)


def test_fit_of_scores_that_equal_the_unigram_matches_fit_of_constant_scores(words, log_unigram):
    calibration = fit(blocks((3 * log_unigram + 5).expand(POSITIONS, -1).contiguous(), words), log_unigram)
    constant = fit(blocks(torch.zeros(POSITIONS, SIZE), words), log_unigram)
    assert 3 * calibration.scale + calibration.prior == pytest.approx(constant.prior, abs=1e-3)


def test_fit_ends_when_scores_are_perfect(words, log_unigram):
    known = torch.zeros(POSITIONS, SIZE).scatter_(1, words[:, None], 1.0)
    perfect = blocks(known, words)
    calibration = fit(perfect, log_unigram)
    assert mean_nats(known, words, log_unigram, *calibration) < 1e-5
    assert perfect.calls < 60


@pytest.mark.parametrize("far", [-1e7, -1e9, -1e12])
def test_fit_reads_the_other_scores_when_a_mask_scores_a_word_far_below_them(scores, words, log_unigram, far):
    masked, near = scores.clone(), scores.clone()
    masked[:, 40], near[:, 40] = far, -1e3
    kept = words != 40  # a true word that is masked would make the unigram the best fit
    found, expected = (fit(blocks(each[kept], words[kept]), log_unigram) for each in (masked, near))
    assert found == pytest.approx(expected, abs=1e-3) and found.scale > 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_fit_raises_when_scores_are_not_finite(scores, words, log_unigram, bad):
    broken = scores.clone()
    broken[700, 3] = bad
    with pytest.raises(Diverged, match="scores that are not finite"):
        fit(blocks(broken, words), log_unigram)


def test_fit_and_logits_do_not_change_scores(scores, words, log_unigram):
    before = scores.clone()
    fit(blocks(scores, words), log_unigram)
    Calibration(2.0, 1.0).logits(scores, log_unigram)
    assert torch.equal(scores, before)
