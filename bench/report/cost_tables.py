"""Tables of the heads' cost ledgers at one V: training, memory, exact and approximate decoding."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from bench.cost.ledger import BASELINE, is_baseline
from bench.evaluation.metric_definition import Column
from bench.report.cost_glossary import APPROXIMATE, DECODING, MEASURED, MEMORY, TRAINING
from bench.report.number_format import LONGEST, NULL, exponent, mean_and_error, rounded, warranted_decimals
from bench.report.significance import REFERENCE
from bench.report.table import Part, Table, TableRow, Value, measured_columns

OTHER_LIBRARY = "other library"  # kind of a baseline's row

TIMED = "[ ] is p20 to p80 over {} interleaved rounds of all contenders; above it the median. Fastest first."

HELD = "Bytes that the allocator reports while nothing else is held. Least first."

SEARCHED = (
    "Search among a part of the words: the time to build the index, and the share of the exact answer that it finds."
)


def value_of(measured: Any, column: Column) -> Value:
    """Format a number, or the median of a span with its p20 and p80."""
    if isinstance(measured, (list, np.ndarray)):
        low, median, high = (column.scale * each for each in measured)
        return Value(mean_and_error(median, digits=column.digits), enclosing(low, median, high, column.digits))
    number = float("nan" if measured is None else measured)
    return Value(mean_and_error(number * column.scale, digits=column.digits))


def enclosing(low: float, value: float, high: float, digits: int = 3) -> str:
    """Return `[1.93, 2.01]`, an interval that contains the value as printed; empty if its width is zero.

    The ends are rounded to the decimals that the width warrants, at most those of the value. If the printed value is
    then outside, they are rounded outwards, to one more decimal. An interval of zero width comes from a single
    measurement, whose spread is unknown.

    Args:
        digits: of the value as printed.
    """
    low, high = min(low, value), max(high, value)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return ""
    most = digits - 1 - exponent(value, digits)
    is_long = high >= LONGEST
    warranted = [1 - exponent(end, 2) if is_long else warranted_decimals(low, high) for end in (low, high)]
    for finer, rules in ((0, (round, round)), (1, (round_down, round_up))):
        decimals = [min(each + finer, most) for each in warranted]
        ends = [rule(end, each) for rule, end, each in zip(rules, (low, high), decimals, strict=True)]
        if ends[0] <= round(value, most) <= ends[1] and ends[0] < ends[1]:
            break
    if is_long:
        return f"[{', '.join(mean_and_error(end, digits=2 + finer) for end in ends)}]"
    return f"[{', '.join(rounded(end, decimals[0]) for end in ends)}]"


def round_down(value: float, decimals: int, rule: str = ROUND_FLOOR) -> float:
    """Round to the next lower number of this many decimals; differences beyond nine digits are rounding of floats."""
    return float(Decimal(f"{value:.9g}").quantize(Decimal(1).scaleb(-decimals), rounding=rule))


def round_up(value: float, decimals: int) -> float:
    """Round to the next higher number of this many decimals."""
    return round_down(value, decimals, ROUND_CEILING)


def median_of(measured: Any) -> float:
    """Return the median of a span, or a number itself; NaN if it was not measured."""
    if isinstance(measured, (list, np.ndarray)):
        return float(measured[1])
    return nan if measured is None else float(measured)


def ratio_to_reference(frame: pd.DataFrame, name: str) -> pd.Series:
    """Divide one figure by full softmax's in the same ledger. [N]"""
    values = frame[name].map(median_of)
    reference = values[frame.contender == REFERENCE]
    return values / (reference.iloc[0] if len(reference) else nan)


def tables_at_one_size(frame: pd.DataFrame) -> list[Table]:
    """Return the tables of every contender at one V."""
    size, rounds = int(frame.vocabulary_size.iloc[0]), int(frame["rounds"].iloc[0])
    frame = frame.assign(
        training_ratio=ratio_to_reference(frame, "training_ms"),
        decode_ratio=ratio_to_reference(frame, "decode_256_ms"),
        is_baseline=baselines(frame),
    )
    tables = []
    for title, columns in {"training": TRAINING, "memory": MEMORY, "exact decoding": DECODING}.items():
        order = frame[columns[0].name].map(median_of)
        ranked = frame.assign(order=order).sort_values(["is_baseline", "order", "contender"])
        has_nothing = ranked[[column.name for column in MEASURED]].isna().all(axis=1)
        is_shown = has_nothing if title == "training" else False  # a contender without any figure is in one table only
        ranked = ranked[is_shown | ranked[[column.name for column in columns]].notna().any(axis=1)]
        if len(ranked):
            named = [(name_of(row.contender), row) for _, row in ranked.iterrows()]
            caption = HELD if title == "memory" else TIMED.format(rounds)
            tables.append(cost_table(f"V = {size:,}: {title}", caption, named, columns))
    indexes = [each for _, row in frame.iterrows() for each in index_rows(row)]
    if indexes:
        tables.append(cost_table(f"V = {size:,}: approximate decoding", SEARCHED, indexes, APPROXIMATE))
    return tables


def index_rows(row: pd.Series) -> list[tuple[str, pd.Series]]:
    """Return (label, figures) of each index over one contender's word vectors."""
    return [
        (
            f"{name_of(row.contender)}, {each['index']}",
            pd.Series(
                {f"index_{key}": measured for key, measured in each.items()}
                | {"index_ratio": median_of(each.get("decode_1_ms")) / median_of(row.decode_1_ms)}
                | {"contender": row.contender, "reason": each.get("reason")}
                | {"status": "failed" if each.get("reason") else "ok"}
            ),
        )
        for each in row.approximate or []
    ]


def cost_table(title: str, caption: str, named: list[tuple[str, pd.Series]], columns: Sequence[Column]) -> Table:
    """Format labelled rows of a ledger; columns without any figure are left out, unless all are.

    The best figure of a column among this project's heads is highlighted, and so are figures that print alike.
    """
    values = {column.name: column_values(named, column) for column in columns}
    rows = [
        TableRow(
            label=label if row.status == "ok" else f"× {label}",
            kind=OTHER_LIBRARY if is_baseline(row.contender) else "",
            values={name: values[name][i] for name in values},
            seeds=int(any(each[i].text != NULL for each in values.values())),
            failures=[] if row.status == "ok" else [f"× {row.status}: {row.reason or 'no reason given'}"],
        )
        for i, (label, row) in enumerate(named)
    ]
    return Table(title, caption, rows, [Part(measured_columns(rows, columns) or [*columns])])


def column_values(named: list[tuple[str, pd.Series]], column: Column) -> list[Value]:
    """Format one column of labelled rows."""
    values = [value_of(row.get(column.name), column) for _, row in named]
    own = [
        (median_of(row.get(column.name)), value.text)
        for (_, row), value in zip(named, values, strict=True)
        if not is_baseline(row.contender) and value.text != NULL
    ]
    best = (min if column.direction == "lower" else max)(own, default=(nan, None))[1] if len(own) > 1 else None
    return [
        Value(value.text, value.interval, leads=value.text == best and not is_baseline(row.contender))
        for (_, row), value in zip(named, values, strict=True)
    ]


def baselines(frame: pd.DataFrame) -> pd.Series:
    """Return which rows are other libraries'. [N] bool"""
    return frame.contender.map(is_baseline).astype(bool)


def name_of(contender: str) -> str:
    """Return a contender's name as tables show it."""
    return contender.removeprefix(BASELINE)
