"""Format numbers for readers: as precise as their error or interval warrants, huge numbers as powers of ten."""

from collections.abc import Iterable
from math import isinf, isnan, nan

import pandas as pd

NULL, UNDEFINED = "–", "undef."  # a figure that was not measured; a figure that has no value

LONGEST = 1e6  # from here on powers of ten: a reader cannot compare numbers of more digits

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def mean_and_error(value: float, error: float = nan, digits: int = 3) -> str:
    """Return `mean ± standard error` with the decimals that the error's first digit warrants, at most `digits`."""
    if isnan(value):
        return NULL
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= LONGEST:
        power = exponent(value, digits)
        mean, _, spread = mean_and_error(value / 10**power, error / 10**power, digits).partition(" ± ")
        return " ± ".join(f"{part}×10{str(power).translate(SUPERSCRIPTS)}" for part in (mean, spread) if part)
    if isnan(error) or error <= 1e-7 * abs(value):  # the seeds agree, except for the rounding of floats
        return rounded(value, digits - 1 - exponent(value, digits))
    first = -exponent(error, 1)
    return f"{rounded(value, min(digits - 1 - exponent(value, digits), first))} ± {rounded(error, first)}"


def bracketed(low: float, high: float, sign: str = "") -> str:
    """Return an interval: `[1.93, 2.01]`."""
    if max(abs(low), abs(high)) >= LONGEST:
        return f"[{mean_and_error(low, digits=2)}, {mean_and_error(high, digits=2)}]"
    decimals = warranted_decimals(low, high)
    return f"[{signed(low, decimals, sign)}, {signed(high, decimals, sign)}]"


def warranted_decimals(low: float, high: float) -> int:
    """Return the decimals that an interval's width leaves meaningful; two if the width is zero except for rounding."""
    return -exponent((high - low) / 6, 1) if high - low > 1e-9 * max(abs(low), abs(high)) else 2


def signed(value: float, decimals: int, sign: str = "+") -> str:
    """Return `+0.02` or `−0.02`; a zero has no sign."""
    text = rounded(abs(value), decimals)
    return text if not text.strip("0.,") else f"{'−' if value < 0 else sign}{text}"


def exponent(value: float, digits: int) -> int:
    """Return the power of ten of a number's first digit, after rounding to `digits` digits."""
    return int(f"{value:.{digits - 1}e}".split("e")[1])


def rounded(value: float, decimals: int) -> str:
    """Return `1,230` or `−0.02`: with thousands separators, and rounded if `decimals` is negative."""
    return f"{round(value, decimals):,.{max(decimals, 0)}f}".replace("-", "−")


def p_text(p: float) -> str:
    """Return `p = .012` or `p < .001`."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def extent(values: pd.Series, decimals: int = 1) -> str:
    """Return `560,000`, or `400,000–560,000` if the values differ."""
    texts = (f"{value:,.{decimals}f}" for value in (values.min(), values.max()))
    return "–".join(dict.fromkeys(text.rstrip("0").rstrip(".") if "." in text else text for text in texts))


def listed(parts: Iterable[str]) -> str:
    """Join parts as in `a, b and c`; at least one part is needed."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
