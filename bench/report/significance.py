"""Cells against full softmax, paired on the same test documents."""

from dataclasses import dataclass
from math import isnan

import numpy as np
import pandas as pd

from bench.evaluation import intervals
from bench.evaluation.intervals import FORMULAS, Difference
from bench.report.glossary import QUALITY, Entry
from bench.report.number_format import NULL, ends, signed, warranted
from bench.report.run_table import LIMIT

REFERENCE = "softmax"

COMPARED = tuple(
    entry
    for field in (
        "bits_per_byte",
        "accuracy_at_1",
        "accuracy_at_10",
        "calibrated_accuracy_at_1",
        "brier",
        "closed_perplexity",
    )
    for entry in QUALITY
    if entry.field == field
)


@dataclass(frozen=True)
class Compared:
    """One difference as the reader sees it; `told`: its interval excludes 0."""

    mean: str = NULL
    ends: str = ""
    p: str = ""
    told: bool = False


def reference(cells: pd.DataFrame) -> pd.Series | None:
    """Full softmax among the cells of one table, its best variant where it has several."""
    found = cells[(cells.system == REFERENCE) & cells.blocks.notna()]
    return None if found.empty else found.iloc[0]


def found(cell: pd.Series, other: pd.Series | None, field: str) -> Difference | None:
    """One figure of a cell minus that of another; None where no interval can be had, or of a cell with itself."""
    field = "bits_per_word" if field == "excess" else field  # the limit cancels
    if other is None or cell.label == other.label or field not in FORMULAS:
        return None
    return intervals.difference(field, cell.blocks, other.blocks)


def stands(cell: pd.Series, other: pd.Series, field: str) -> bool | None:
    """Whether a difference would stand on other texts and with other seeds; None where no interval says.

    Intervals hold the trained models fixed: it must pass two standard errors over seeds too, where they are known.
    """
    apart = found(cell, other, field)
    if apart is None:
        return None
    error = np.hypot(*np.nan_to_num([cell[f"{field}_se"], other[f"{field}_se"]]))
    return bool(apart.excludes_zero and abs(apart.mean) > 2 * error)


def interval(cell: pd.Series, entry: Entry, limit: pd.Series | None) -> str:
    """A quality figure's 95 % interval over documents; empty where it has none."""
    if entry.field == "excess":
        against = None if limit is None else found(cell, limit, entry.field)
        low_high = against and (against.low, against.high)
    else:
        low_high = intervals.interval(entry.field, cell.blocks) if entry.field in FORMULAS else None
    if low_high is None or isnan(cell[entry.field]):
        return ""
    return ends(*(entry.scale * each for each in low_high))


def limit(cells: pd.DataFrame) -> pd.Series | None:
    """The language's own distribution among the cells of one table."""
    known = cells[(cells.system == LIMIT) & cells.blocks.notna()]
    return None if known.empty else known.iloc[0]


def differences(cells: pd.DataFrame) -> list[tuple[str, str, list[Compared]]]:
    """(label, kind, a difference a column of `COMPARED`) of every cell of one table that can be compared."""
    other = reference(cells)
    rows = [
        (cell.label, cell.kind, [compared(cell, other, entry) for entry in COMPARED])
        for _, cell in cells.iterrows()
        if other is not None and cell.label != other.label
    ]
    return [row for row in rows if any(each.ends for each in row[2])]


def compared(cell: pd.Series, other: pd.Series, entry: Entry) -> Compared:
    apart = found(cell, other, entry.field)
    if apart is None:
        return Compared()
    mean, low, high = (entry.scale * each for each in apart)
    p = intervals.p_value(entry.field, cell.blocks, other.blocks)
    shown = "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")
    return Compared(signed(mean, warranted(low, high)), ends(low, high, "+"), shown, apart.excludes_zero)
