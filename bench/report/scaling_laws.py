"""Scaling law t(V) = a + b·(V/1000)^γ: fit it to a cost at several V, with intervals.

P sizes, B draws. The fit is to log t, since a machine's noise is a share of the time; a, b >= 0 and 0 <= γ <= 1.5.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

LEAST_SIZES = 4  # vocabulary sizes: the law has three unknowns

STEEPEST = 1.5  # the largest γ

LEAST_ERROR = 0.02  # share of the time: no machine follows a power law more closely

UNIT, FARTHEST = 1_000, 10_000_000  # V: that of b, and the largest of an extrapolation

DRAWS, CONFIDENCE = 200, 0.95

GRID = 400  # V at which two laws are compared


@dataclass(frozen=True, eq=False)
class Law:
    """Law of one cost, with draws of the laws that other noise of its points would have given."""

    parameters: np.ndarray  # a, b, γ [3]
    draws: np.ndarray  # [B, 3]
    largest: int  # V; beyond, the law is extrapolated
    misfit: float  # the largest |t / law − 1| of a point

    def at(self, sizes: np.ndarray | float) -> np.ndarray:
        """Evaluate the law. [P] sizes -> [P]"""
        return evaluate(self.parameters, np.asarray(sizes, dtype=float))

    def drawn(self, sizes: np.ndarray | float) -> np.ndarray:
        """Evaluate the drawn laws. [P] sizes -> [B, P]"""
        return evaluate(self.draws[:, :, None].transpose(1, 0, 2), np.atleast_1d(sizes).astype(float))

    @property
    def is_flat(self) -> bool:
        """True if no growth can be distinguished from noise."""
        return not self.parameters[1]


def evaluate(parameters: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Evaluate a, b, γ. [3] or [3, B, 1], [P] -> [P] or [B, P]"""
    fixed, slope, growth = parameters
    return fixed + slope * (sizes / UNIT) ** growth


def errors(spans: np.ndarray, rounds: int) -> np.ndarray:
    """Return standard errors of log p50, for normal noise. [P, 3] spans of p20, p50, p80 -> [P]"""
    deviation = np.log(spans[:, 2] / spans[:, 0]) / (2 * stats.norm.ppf(0.8))
    return np.hypot(deviation * np.sqrt(np.pi / 2 / rounds), LEAST_ERROR)


def fit(sizes: np.ndarray, spans: np.ndarray, rounds: int, draws: int = DRAWS, seed: int = 0) -> Law | None:
    """Fit the law; None for fewer than four sizes. [P] sizes, [P, 3] spans

    A parametric bootstrap draws the intervals: each draw is fitted as the points are, with the same choice of a flat
    law. Its noise is that of the spans, or that of the misfit if larger. Laws that are compared need different seeds.
    """
    if len(sizes) < LEAST_SIZES:
        return None
    times, error = np.log(spans[:, 1]), errors(spans, rounds)
    parameters = min((solve(sizes, times, error, start) for start in starts(sizes, times)), key=lambda each: each[1])[0]
    scale = max(1.0, squares(parameters, sizes, times, error) / (len(sizes) - 3)) ** 0.5
    error = error * scale
    parameters = flat_unless_growing(parameters, sizes, times, error)
    centre = np.log(evaluate(parameters, sizes))
    noise = np.random.default_rng(seed).normal(size=(draws, len(sizes))) * error
    start = parameters if parameters[1] else parameters * [0.5, 0, 0] + [0, parameters[0] / 2, 0.1]
    drawn = [flat_unless_growing(solve(sizes, logs, error, start)[0], sizes, logs, error) for logs in centre + noise]
    return Law(parameters, np.array(drawn), int(max(sizes)), float(np.abs(np.exp(times - centre) - 1).max()))


def flat_unless_growing(parameters: np.ndarray, sizes: np.ndarray, times: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the fitted law [3], or the flat law if growth does not improve the fit significantly (χ², level 95 %)."""
    flat = np.array([np.exp(np.average(times, weights=error**-2)), 0.0, 0.0])
    gain = squares(flat, sizes, times, error) - squares(parameters, sizes, times, error)
    return flat if gain < stats.chi2.ppf(CONFIDENCE, df=2) else parameters


def starts(sizes: np.ndarray, times: np.ndarray) -> list[np.ndarray]:
    """Return the best a and b for several γ, since the sum of squares has several minima."""
    relative = np.exp(-times)[:, None]
    candidates = []
    for growth in (0.2, 0.6, 1.0, 1.4):
        powers = (sizes / UNIT) ** growth
        (fixed, slope), _ = optimize.nnls(relative * np.stack([np.ones_like(powers), powers], 1), np.ones(len(sizes)))
        candidates.append(np.array([fixed, slope, growth]))
    return candidates


def squares(parameters: np.ndarray, sizes: np.ndarray, times: np.ndarray, error: np.ndarray) -> float:
    """Return the sum of the squared residuals of log t, each in units of its error."""
    return float((((np.log(evaluate(parameters, sizes)) - times) / error) ** 2).sum())


def solve(sizes: np.ndarray, times: np.ndarray, error: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, float]:
    """Minimise the squares of log t from one start. To keep bounds, a and b are squares, and γ is a sine's square."""
    centre = np.exp(np.log(sizes).mean())
    relative, logs = sizes / centre, np.log(sizes / centre)
    unit = np.exp(times.mean())

    def parts(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        powers = relative ** (STEEPEST * np.sin(free[2]) ** 2)
        return powers, free[0] ** 2 + free[1] ** 2 * powers + 1e-12

    def residuals(free: np.ndarray) -> np.ndarray:
        return (np.log(parts(free)[1] * unit) - times) / error

    def jacobian(free: np.ndarray) -> np.ndarray:
        powers, total = parts(free)
        steeper = free[1] ** 2 * powers * logs * STEEPEST * np.sin(2 * free[2])
        columns = [np.full_like(powers, 2 * free[0]), 2 * free[1] * powers, steeper]
        return np.stack(columns, 1) / (total * error)[:, None]

    fixed, slope = np.maximum(start[:2] * [1, (centre / UNIT) ** start[2]] / unit, 1e-3)
    angle = np.arcsin(np.sqrt(np.clip(start[2] / STEEPEST, 0.01, 0.99)))
    free, *_ = optimize.leastsq(residuals, [fixed**0.5, slope**0.5, angle], Dfun=jacobian, full_output=True)
    growth = STEEPEST * np.sin(free[2]) ** 2
    parameters = np.array([free[0] ** 2, free[1] ** 2 * (UNIT / centre) ** growth, growth]) * [unit, unit, 1]
    return parameters, float((residuals(free) ** 2).sum())


def interval(draws: np.ndarray) -> tuple[float, float]:
    """Return the middle 95 % of draws, infinite draws included. [B]"""
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="inverted_cdf")
    return float(low), float(high)
