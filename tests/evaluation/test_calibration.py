"""The fit against scipy's, against the truth of synthetic data, and where nothing can be fitted."""

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
    """Drawn from softmax(1.5 score + 0.6 log unigram)."""
    p = (1.5 * scores + 0.6 * log_unigram).softmax(1)
    return torch.multinomial(p, 1, generator=torch.Generator().manual_seed(1))[:, 0]


def blocks(scores: torch.Tensor, words: torch.Tensor):
    """Two blocks of unequal size, and how often they were asked for."""

    def read():
        read.times += 1
        return [(scores[:100], words[:100]), (scores[100:], words[100:])]

    read.times = 0
    return read


def mean_nats(scores, words, log_unigram, scale: float, prior: float) -> float:
    """In double precision."""
    logits = scale * scores.double() + prior * log_unigram.double()
    return float(torch.nn.functional.cross_entropy(logits, words))


@pytest.fixture(scope="module")
def best(scores, words, log_unigram) -> np.ndarray:
    """a, b by scipy, which is told no gradient."""

    def objective(at):
        return mean_nats(scores, words, log_unigram, *at)

    found = minimize(objective, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10})
    assert found.success
    return found.x


def test_the_fit_is_scipys(scores, words, log_unigram, best):
    found = fit(blocks(scores, words), log_unigram)
    expected = mean_nats(scores, words, log_unigram, *best)
    assert mean_nats(scores, words, log_unigram, *found) == pytest.approx(expected, abs=1e-7)
    np.testing.assert_allclose(found, best, atol=1e-4)


def test_the_truth_is_found_again(scores, words, log_unigram):
    found = fit(blocks(scores, words), log_unigram)
    np.testing.assert_allclose(found, [1.5, 0.6], atol=0.1)
    p = (1.5 * scores + 0.6 * log_unigram).log_softmax(1)  # a density already: nothing to mend
    np.testing.assert_allclose(fit(blocks(p, words), log_unigram), [1, 0], atol=0.1)


def test_moments_are_the_derivatives(scores, words, log_unigram):
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
def test_the_unit_of_the_scores_does_not_matter(scores, words, log_unigram, factor):
    plain, read = fit(blocks(scores, words), log_unigram), blocks(scores * factor, words)
    scale, prior = fit(read, log_unigram)
    np.testing.assert_allclose([scale * factor, prior], plain, rtol=1e-4)
    assert read.times <= 6


@pytest.mark.parametrize("offset", [-300.0, 1e4])
def test_an_offset_of_the_scores_does_not_matter(scores, words, log_unigram, offset):
    read = blocks(scores + offset, words)
    np.testing.assert_allclose(fit(read, log_unigram), fit(blocks(scores, words), log_unigram), rtol=1e-3)
    assert read.times <= 6


@pytest.mark.parametrize("constant", [0.0, 1.0, -5.0, 3.7, 1e4])
def test_constant_scores_give_the_unigram_exactly(log_unigram, constant):
    counts = (840 / torch.arange(1, 8)).long()  # their own unigram
    own = (counts / counts.sum()).log()
    words = torch.arange(7).repeat_interleave(counts)
    found = fit(blocks(torch.full((len(words), 7), constant), words), own)
    assert found.scale == 0
    assert found.prior == pytest.approx(1, abs=1e-4)
    distribution = found.logits(torch.full((1, 7), constant), own).softmax(1)
    torch.testing.assert_close(distribution[0], own.exp(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("constant", [0.0, -5.0, 1e4])
def test_constant_scores_leave_the_prior_to_be_fitted(words, log_unigram, constant):
    found = fit(blocks(torch.full((POSITIONS, SIZE), constant), words), log_unigram)
    own = minimize(lambda b: mean_nats(torch.zeros(POSITIONS, SIZE), words, log_unigram, 0, b[0]), [1.0])
    assert found.prior == pytest.approx(own.x[0], abs=1e-3)


def test_scores_that_are_the_unigram_itself_share_its_part(words, log_unigram):
    found = fit(blocks((3 * log_unigram + 5).expand(POSITIONS, -1).contiguous(), words), log_unigram)
    constant = fit(blocks(torch.zeros(POSITIONS, SIZE), words), log_unigram)
    assert 3 * found.scale + found.prior == pytest.approx(constant.prior, abs=1e-3)


def test_scores_that_always_know_the_word(words, log_unigram):
    known = torch.zeros(POSITIONS, SIZE).scatter_(1, words[:, None], 1.0)
    read = blocks(known, words)
    found = fit(read, log_unigram)
    assert mean_nats(known, words, log_unigram, *found) < 1e-5
    assert read.times < 60


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_not_finite_are_refused(scores, words, log_unigram, bad):
    broken = scores.clone()
    broken[700, 3] = bad
    with pytest.raises(Diverged, match="scores that are not finite"):
        fit(blocks(broken, words), log_unigram)


def test_scores_are_left_as_they_were(scores, words, log_unigram):
    before = scores.clone()
    fit(blocks(scores, words), log_unigram)
    Calibration(2.0, 1.0).logits(scores, log_unigram)
    assert torch.equal(scores, before)
