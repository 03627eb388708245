"""Comparison of figures of ranks where some systems were ranked on a sample of the test words, as causal LMs are."""

import numpy as np
import pandas as pd

from bench.evaluation.intervals import common_formula, same_words
from bench.evaluation.metric_definition import Ratio, evaluate
from bench.evaluation.metrics import METRICS
from bench.report.run_table import means_and_errors


def on_other_words(one: pd.Series, other: pd.Series) -> bool:
    """True if two cells were measured on different test words, so that their figures of quality do not compare."""
    known = [cell.blocks for cell in (one, other) if cell.blocks is not None]
    return len(known) == 2 and not same_words(known)


def ordering(cells: pd.DataFrame, name: str) -> pd.Series:
    """Return a figure of each cell by which the cells can be ordered.

    The figure of a cell that was ranked on fewer words than others is estimated: the figure of the best of the others,
    plus the difference between the two on the words on which both were ranked.
    """
    if name not in METRICS or any(each is None for each in cells.blocks):
        return cells[name]
    ranked = cells.blocks.map(lambda each: each.sums.get("ranked", each.sums["words"])[0].sum())
    whole = cells[name][ranked == ranked.max()]
    best = cells.loc[whole.idxmin() if METRICS[name].direction == "lower" else whole.idxmax()]
    estimates = cells[name].copy()
    for row in cells.index.difference(whole.index):
        ours, theirs = on_shared_words(cells.loc[[row, best.name]], name)[name]
        estimates[row] = best[name] + ours - theirs
    return estimates


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
    seeds = [evaluate(shared, each.totals).reshape(-1, 1) for each in measured]  # [S, 1] each
    means, errors = np.hstack([means_and_errors(each) for each in seeds])
    return cells.assign(**{name: means, f"{name}_se": errors})
