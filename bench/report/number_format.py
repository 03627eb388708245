"""Numbers as a reader sees them: no more precise than their error or interval warrants."""

from collections.abc import Iterable
from math import isnan, nan

import pandas as pd

NULL, UNDEFINED = "–", "undef."  # a figure that was not measured; one that has no value


def shown(value: float, error: float = nan, digits: int = 3) -> str:
    """`mean ± standard error`: so many digits, or only as many as the error's first digit warrants."""
    if isnan(value):
        return NULL
    if isnan(error) or error <= 1e-9 * abs(value):  # equal figures, but for how a float rounds their mean
        return rounded(value, digits - 1 - exponent(value, digits))
    first = -exponent(error, 1)
    return f"{rounded(value, min(digits - 1 - exponent(value, digits), first))} ± {rounded(error, first)}"


def ends(low: float, high: float, sign: str = "") -> str:
    """`[1.93, 2.01]`"""
    decimals = warranted(low, high)
    return f"[{signed(low, decimals, sign)}, {signed(high, decimals, sign)}]"


def warranted(low: float, high: float) -> int:
    """Decimals that the width of an interval leaves to tell; two where it has none, but for how floats round."""
    return -exponent((high - low) / 6, 1) if high - low > 1e-9 * max(abs(low), abs(high)) else 2


def signed(value: float, decimals: int, sign: str = "+") -> str:
    """`+0.02`, `−0.02`; a zero has no sign."""
    text = rounded(abs(value), decimals)
    return text if not text.strip("0.,") else f"{'−' if value < 0 else sign}{text}"


def exponent(value: float, digits: int) -> int:
    """The power of ten of a number's first digit, once it is rounded to so many digits."""
    return int(f"{value:.{digits - 1}e}".split("e")[1])


def rounded(value: float, decimals: int) -> str:
    return f"{round(value, decimals):,.{max(decimals, 0)}f}".replace("-", "−")


def span(values: pd.Series, decimals: int = 1) -> str:
    """`560,000`, or `400,000–560,000` where they differ."""
    texts = (f"{value:,.{decimals}f}" for value in (values.min(), values.max()))
    return "–".join(dict.fromkeys(text.rstrip("0").rstrip(".") if "." in text else text for text in texts))


def listed(parts: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
