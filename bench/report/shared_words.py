"""Figures of ranks on the words on which all systems of a table were ranked: a causal LM is ranked on a sample."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.evaluation.intervals import BlockSums, common_formula
from bench.evaluation.metric_definition import Ratio
from bench.evaluation.metrics import METRICS, evaluate


def on_shared_words(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the cells with a figure, and its standard error, of the words on which all of them were ranked.

    The cells are unchanged if all were ranked on the same words, or if no sample is common to all of them.
    """
    measured = [each for each in cells.blocks if each is not None]
    if name not in METRICS or len(measured) < len(cells) or len(cells) < 2 or not same_words(measured):
        return cells
    formulas = [common_formula(name, measured[0], each) for each in measured[1:]]
    shared = next((each for each in formulas if each is not METRICS[name].formula), None)
    if not isinstance(shared, Ratio) or any(each is None for each in formulas):
        return cells
    seeds = [
        np.atleast_1d(evaluate(shared, {key: sums.sum(1) for key, sums in each.sums.items()})) for each in measured
    ]
    errors = [each.std(ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.nan for each in seeds]
    return cells.assign(**{name: [each.mean() for each in seeds], f"{name}_se": errors})


def same_words(sums: Sequence[BlockSums]) -> bool:
    """True if all sums are of the same test words."""
    return all(np.array_equal(each.sums["words"][0], sums[0].sums["words"][0]) for each in sums)
