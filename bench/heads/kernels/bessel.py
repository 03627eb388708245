"""log I_ν(x), the modified Bessel function of the first kind, with its slope: closed forms, in torch alone.

By the expansion that is uniform in x as the order ν grows (Olver 1954; DLMF 10.41.3). From a low order it is made for a
higher one, and brought down by the recurrence of three neighbours (DLMF 10.29.1), whose terms are all positive here.
"""

import functools
import math
from typing import Any

import torch
from numpy.polynomial import Polynomial
from torch import Tensor
from torch.autograd.function import once_differentiable

TERMS = 4  # of the expansion

LEAST_ORDER = 32  # from which on they err by 1e-9 at most


def log_bessel(order: float, x: Tensor) -> Tensor:
    """log(I_ν(x) / x^ν), which is smooth and finite at 0 too; ν ≥ −½, x ≥ 0. [...] -> [...]"""
    return LogBessel.apply(x, order)


class LogBessel(torch.autograd.Function):
    """Its slope is I_{ν+1}(x) / I_ν(x)."""

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
    """f_ν = log(I_ν(x) / x^ν), and exp(f_{ν+1} − f_ν), which is its slope over x. [...] each"""
    lifted = max(0, math.ceil(LEAST_ORDER - order))
    value, ratio = expanded(order + lifted, x)
    for step in range(lifted):  # I_{μ−1} = I_{μ+1} + (2μ / x) I_μ
        lower = (ratio * x).mul_(x).add_(2 * (order + lifted - step))  # exp(f_{μ−1} − f_μ)
        value, ratio = value.add_(lower.log()), lower.reciprocal_()
    return value, ratio


def expanded(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """The same by the expansion alone, which says the more, the higher the order."""
    root = (x / order).square_().add_(1).sqrt_()
    t = root.reciprocal()
    series, slope = horner(order, t)
    value = root - torch.log1p(root) - math.log(order)
    value = value.mul_(order).sub_(torch.log(2 * math.pi * order * root), alpha=0.5).add_(series.log())
    small = slope.div_(series).mul_(t).add_(0.5).mul_(t.square_())
    return value, (1 / (1 + root)).sub_(small, alpha=1 / order).div_(order)


def horner(order: float, t: Tensor) -> tuple[Tensor, Tensor]:
    """Σ U_k(t) / ν^k and its derivative for t."""
    *lower, highest = coefficients(order)
    value, slope = torch.full_like(t, highest), torch.zeros_like(t)
    for each in reversed(lower):
        slope = slope.mul_(t).add_(value)
        value = value.mul_(t).add_(each)
    return value, slope


@functools.cache
def coefficients(order: float) -> list[float]:
    """Of Σ U_k(t) / ν^k, the constant one first."""
    return sum(each / order**k for k, each in enumerate(debye(TERMS))).coef.tolist()


def debye(terms: int) -> list[Polynomial]:
    """U_0 to U_terms (DLMF 10.41.9)."""
    p, found = Polynomial([0, 1]), [Polynomial([1.0])]
    for _ in range(terms):
        last = found[-1]
        found.append(p**2 * (1 - p**2) * last.deriv() / 2 + ((1 - 5 * p**2) * last).integ() / 8)
    return found
