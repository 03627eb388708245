"""log I_ν(x), ν ≥ −½, of the modified Bessel function of the first kind, and its gradient, by an expansion in torch.

The expansion that is uniform in x for a large order ν (Olver 1954; DLMF 10.41.3) is evaluated at an order of at least
`MIN_ORDER`. A lower order follows by the three-term recurrence (DLMF 10.29.1), downwards, where all terms are positive.
"""

import functools
import math
from typing import Any

import torch
from numpy.polynomial import Polynomial
from torch import Tensor
from torch.autograd.function import once_differentiable

TERMS = 4  # highest power of 1 / ν in the expansion

MIN_ORDER = 32  # lowest order ν of the expansion: its error is at most 1e-9 from here on


def log_bessel(order: float, x: Tensor) -> Tensor:
    """Compute log(I_ν(x) / x^ν), which is smooth and finite at 0 too; ν = `order` ≥ −½, x ≥ 0. [...] -> [...]"""
    return LogBessel.apply(x, order)


class LogBessel(torch.autograd.Function):
    """log(I_ν(x) / x^ν), with the gradient I_{ν+1}(x) / I_ν(x) (DLMF 10.29.4)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: float) -> Tensor:
        value, ratio = value_and_ratio(order, x)
        ctx.save_for_backward(ratio.mul_(x))
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return upstream * slope, None


@torch.no_grad()
def value_and_ratio(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute f_ν = log(I_ν(x) / x^ν), and exp(f_{ν+1} − f_ν), which is the slope of f_ν divided by x. [...] each"""
    raised = max(0, math.ceil(MIN_ORDER - order))  # steps from the order of the expansion down to ν
    value, ratio = expand(order + raised, x)
    for step in range(raised):  # I_{μ−1} = I_{μ+1} + (2μ / x) I_μ
        inverse = (ratio * x).mul_(x).add_(2 * (order + raised - step))  # exp(f_{μ−1} − f_μ)
        value, ratio = value.add_(inverse.log()), inverse.reciprocal_()
    return value, ratio


def expand(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the two numbers of `value_and_ratio` by the expansion alone, whose error falls as the order grows."""
    root = (x / order).square_().add_(1).sqrt_()
    t = root.reciprocal()
    series, slope = evaluate_series(order, t)
    value = root - torch.log1p(root) - math.log(order)
    value = value.mul_(order).sub_(torch.log(2 * math.pi * order * root), alpha=0.5).add_(series.log())
    correction = slope.div_(series).mul_(t).add_(0.5).mul_(t.square_())
    return value, (1 / (1 + root)).sub_(correction, alpha=1 / order).div_(order)


def evaluate_series(order: float, t: Tensor) -> tuple[Tensor, Tensor]:
    """Compute Σ_k U_k(t) / ν^k and its derivative with respect to t, by Horner's scheme. [...] each"""
    *lower, highest = series_coefficients(order)
    value, slope = torch.full_like(t, highest), torch.zeros_like(t)
    for coefficient in reversed(lower):
        slope = slope.mul_(t).add_(value)
        value = value.mul_(t).add_(coefficient)
    return value, slope


@functools.cache
def series_coefficients(order: float) -> list[float]:
    """Return the coefficients of Σ_k U_k(t) / ν^k as a polynomial in t, lowest power first."""
    return sum(polynomial / order**k for k, polynomial in enumerate(debye_polynomials(TERMS))).coef.tolist()


def debye_polynomials(highest: int) -> list[Polynomial]:
    """Return U_0 to U_highest (DLMF 10.41.9)."""
    p, polynomials = Polynomial([0, 1]), [Polynomial([1.0])]
    for _ in range(highest):
        last = polynomials[-1]
        polynomials.append(p**2 * (1 - p**2) * last.deriv() / 2 + ((1 - 5 * p**2) * last).integ() / 8)
    return polynomials
