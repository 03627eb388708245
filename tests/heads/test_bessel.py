"""log I_ν and its gradient, compared with SciPy, for dimensions 1 to 1,024 and concentrations 0 to 100,000."""

import math

import numpy as np
import pytest
import torch
from scipy.special import gammaln, ive
from torch.testing import assert_close

from bench.cost.flops import StrictFlops
from bench.heads.kernels import bessel
from bench.heads.kernels.bessel import log_bessel

DIMENSIONS = (1, 2, 3, 5, 24, 65, 66, 67, 128, 384, 1024)
X = np.concatenate([[1e-3], np.geomspace(0.01, 1e5, 60)])


def scipy_value_and_slope(order: float, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute log(I_ν(x) / x^ν) and I_{ν+1}(x) / I_ν(x) by SciPy, or by the power series if I_ν underflows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(ive(order, x)) + x - order * np.log(x)
        slope = ive(order + 1, x) / ive(order, x)
    underflows = ive(order + 1, x) < 1e-290
    terms = np.arange(1, 40)[:, None]
    log_terms = terms * np.log(x**2 / 4) - gammaln(terms + 1) - gammaln(order + 1 + terms) + gammaln(order + 1)
    series = np.log1p(np.exp(log_terms).sum(0)) - order * math.log(2) - gammaln(order + 1)
    series_slope = (2 * terms * np.exp(log_terms)).sum(0) / x / (1 + np.exp(log_terms).sum(0))
    return np.where(underflows, series, value), np.where(underflows, series_slope, slope)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize(("dtype", "rtol", "atol"), [(torch.float64, 1e-12, 3e-9), (torch.float32, 2e-6, 1e-4)])
def test_value_and_gradient_equal_those_of_scipy(dimension, dtype, rtol, atol):
    order = dimension / 2 - 1
    x = torch.tensor(X, dtype=dtype, requires_grad=True)
    value = log_bessel(order, x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert value.dtype == slope.dtype == dtype
    values, slopes = map(torch.from_numpy, scipy_value_and_slope(order, x.detach().double().numpy()))
    assert_close(value.double(), values, rtol=rtol, atol=atol)
    assert_close(slope.double(), slopes, rtol=max(rtol, 3e-9), atol=0)
    assert (slope < 1 + 1e-6).all() and (slope.diff() > -1e-6).all()


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_value_is_finite_and_gradient_zero_at_x_zero(dimension):
    order, x = dimension / 2 - 1, torch.zeros(1, dtype=torch.float64, requires_grad=True)
    value = log_bessel(order, x)
    assert value.item() == pytest.approx(-order * math.log(2) - gammaln(order + 1), abs=3e-9)
    assert torch.autograd.grad(value.sum(), x)[0] == 0


def test_gradient_equals_finite_differences_of_the_value():
    x = torch.tensor([0.3, 4.0, 70.0, 900.0], dtype=torch.float64, requires_grad=True)
    for dimension in (2, 3, 50, 384):
        assert torch.autograd.gradcheck(lambda x, order=dimension / 2 - 1: log_bessel(order, x), x, rtol=1e-6)


def test_debye_polynomials_equal_the_published_ones():
    """Published in DLMF 10.41.10."""
    published = [[1], [0, 3, 0, -5], [0, 0, 81, 0, -462, 0, 385], [0, 0, 0, 30375, 0, -369603, 0, 765765, 0, -425425]]
    for polynomial, numerators, denominator in zip(
        bessel.debye_polynomials(3), published, (1, 24, 1152, 414720), strict=True
    ):
        np.testing.assert_allclose(polynomial.coef * denominator, numerators, rtol=1e-12, atol=1e-9)


def test_orders_of_one_half_equal_elementary_functions():
    """I_{-1/2} and I_{1/2} are hyperbolic cosine and sine, times √(2 / πx) (DLMF 10.39.1)."""
    x = torch.tensor([1e-3, 0.1, 1.0, 20.0], dtype=torch.float64)
    half = 0.5 * math.log(2 / math.pi)
    assert_close(log_bessel(-0.5, x), half + x.cosh().log(), rtol=0, atol=3e-9)
    assert_close(log_bessel(0.5, x), half + (x.sinh() / x).log(), rtol=0, atol=3e-9)


def test_value_and_gradient_use_no_matrix_product():
    x = torch.rand(7, requires_grad=True)
    with StrictFlops() as counter:
        log_bessel(191.0, x).sum().backward()
    assert counter.flops == 0
