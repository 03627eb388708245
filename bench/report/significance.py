"""Compare cells with full softmax, paired on the same test documents."""

from math import isnan

import numpy as np
import pandas as pd

from bench.evaluation import intervals
from bench.evaluation.intervals import Difference
from bench.evaluation.metric_definition import Column
from bench.evaluation.metrics import METRICS
from bench.report.glossary import compared
from bench.report.number_format import bracketed, signed, warranted_decimals
from bench.report.table import Part, Table, TableRow, Value

REFERENCE = "softmax"

CAPTION = (
    f"System minus {REFERENCE}, paired on the same test documents: mean, 95 % interval, two-sided permutation p, not "
    "corrected for the number of comparisons. If one system was ranked on fewer words, both are compared on these. "
    "The intervals hold for these trained models; ± above shows what other seeds change. Highlighted: the interval "
    "excludes 0."
)


def reference(cells: pd.DataFrame) -> pd.Series | None:
    """Return full softmax among the cells of one table: its best variant, if it has several."""
    candidates = cells[(cells.system == REFERENCE) & cells.blocks.notna()]
    return None if candidates.empty else candidates.iloc[0]


def limit(cells: pd.DataFrame) -> pd.Series | None:
    """Return the language's own distribution among the cells of one table."""
    known = cells[(cells.kind == "limit") & cells.blocks.notna()]
    return None if known.empty else known.iloc[0]


def difference(cell: pd.Series, other: pd.Series | None, name: str) -> Difference | None:
    """Return one figure of a cell minus that of another; None if no interval exists, or for a cell and itself."""
    name = "bits_per_word" if name == "excess" else name  # the limit cancels
    if other is None or cell.label == other.label or name not in METRICS:
        return None
    return intervals.difference(name, cell.blocks, other.blocks)


def is_certain(cell: pd.Series, other: pd.Series, name: str) -> bool | None:
    """True if a difference would persist on other texts and with other seeds; None if there is no interval.

    Intervals hold the trained models fixed, so the difference must also exceed two standard errors over seeds, where
    these are known.
    """
    apart = difference(cell, other, name)
    if apart is None:
        return None
    error = np.hypot(*np.nan_to_num([cell[f"{name}_se"], other[f"{name}_se"]]))
    return bool(apart.excludes_zero and abs(apart.mean) > 2 * error)


def interval(cell: pd.Series, column: Column, limit: pd.Series | None) -> str:
    """Return a quality figure's 95 % interval over documents; empty if it has none."""
    if column.name == "excess":
        against = None if limit is None else difference(cell, limit, column.name)
        ends = against and (against.low, against.high)
    else:
        ends = intervals.interval(column.name, cell.blocks) if column.name in METRICS else None
    if ends is None or isnan(cell[column.name]):
        return ""
    return bracketed(*(column.scale * each for each in ends))


def differences(cells: pd.DataFrame) -> Table | None:
    """Return the table of differences to full softmax; None if no cell can be compared."""
    other = reference(cells)
    if other is None:
        return None
    columns = compared()
    rows = [
        TableRow(
            cell.label, "" if cell.competes else cell.kind, {each.name: compare(cell, other, each) for each in columns}
        )
        for _, cell in cells.iterrows()
        if cell.label != other.label
    ]
    rows = [row for row in rows if any(value.interval for value in row.values.values())]
    return Table(f"Differences to {REFERENCE}", CAPTION, rows, [Part([*columns])]) if rows else None


def compare(cell: pd.Series, other: pd.Series, column: Column) -> Value:
    """Return one difference; it leads if its interval excludes 0."""
    apart = difference(cell, other, column.name)
    if apart is None:
        return Value()
    mean, low, high = (column.scale * each for each in apart)
    p = intervals.p_value(column.name, cell.blocks, other.blocks)
    p_text = "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")
    text = signed(mean, warranted_decimals(low, high))
    return Value(text, bracketed(low, high, "+"), p_text, leads=apart.excludes_zero)
