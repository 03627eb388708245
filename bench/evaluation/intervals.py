"""Figures as functions of sums over test documents: their intervals and paired differences, by resampling documents.

A block is a test document, or neighbouring ones where there are more than `MOST_BLOCKS`. A record keeps each block's
sums, so that whoever has the record can resample. B blocks, R resamples.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_BLOCKS = 256
Sums = Mapping[str, NDArray[np.float64]]  # statistic -> [..., B], or summed [...]


class Formula(NamedTuple):
    """A figure as a ratio of two sums, transformed."""

    sum: str
    over: str
    then: Callable[[NDArray], NDArray] = np.asarray


def brier_lm(sums: Sums) -> NDArray[np.float64]:
    """100 · (Π Brier-n)^¼, n = 1 … 4; not a number where a factor is not positive. [...]"""
    factors = np.stack([sums[f"brier_{n}"] / sums["drawn"] for n in (1, 2, 3, 4)])
    product = np.where((factors > 0).all(0), factors.prod(0), np.nan)
    return 100 * product**0.25


FORMULAS: dict[str, Formula | Callable[[Sums], NDArray]] = {
    **{
        f"{kind}accuracy_at_{k}": Formula(f"{kind}hits_at_{k}", "ranked")
        for kind in ("", "calibrated_")
        for k in (1, 5, 10)
    },
    "mrr_at_10": Formula("reciprocals_at_10", "ranked"),
    "calibrated_mrr_at_10": Formula("calibrated_reciprocals_at_10", "ranked"),
    "word_perplexity": Formula("nats", "words", np.exp),
    "bits_per_byte": Formula("nats", "bytes", lambda nats: nats / np.log(2)),
    "closed_perplexity": Formula("known_nats", "known", np.exp),
    "raw_closed_perplexity": Formula("raw_known_nats", "known", np.exp),
    "rank_perplexity": Formula("rank_nats", "known", np.exp),
    "brier": Formula("brier", "words"),
    "brier_lm": brier_lm,
}


def value(field: str, sums: Sums) -> NDArray[np.float64]:
    """A figure of sums over blocks; not a number where it is undefined or was not measured. [...] each -> [...]"""
    formula = FORMULAS[field]
    with np.errstate(all="ignore"):
        try:
            if isinstance(formula, Formula):
                return formula.then(np.asarray(sums[formula.sum]) / sums[formula.over])
            return formula(sums)
        except KeyError:
            return np.asarray(np.nan)
