"""One leaderboard over every text, budget and V of a page: at most seven columns, and the others on demand."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pandas as pd

from bench.core.dotted import flatten
from bench.evaluation.metric_definition import Column
from bench.report.best import NEEDS, main_board
from bench.report.glossary import COST, shown_quality
from bench.report.leaderboard import Leaderboard, leading_text, text
from bench.report.number_format import NULL
from bench.report.run_table import in_group
from bench.report.table import Value
from bench.report.variant_names import deciding_settings, variant_labels

MOST_COLUMNS = 7  # the system's included

FIRST = (*NEEDS, "calibrated_accuracy_at_1", "brier")  # fields of the columns that are shown first, in this order

FILTERS = {"size": "V", "corpus": "Text", "data": "Training data", "trunk": "Trunk", "system": "System"}

LAST = 1e300  # sorts a figure that was not measured behind all others


@dataclass(frozen=True)
class Row:
    """One system on one text, budget and V."""

    label: str
    kind: str  # floor | limit | pre-trained | empty: it competes
    seeds: int
    failures: list[str]
    facts: dict[str, str]  # by the keys of FILTERS
    values: dict[str, Value]  # by the column's name
    order: dict[str, float]  # figure of each column by which rows are sorted


@dataclass(frozen=True)
class PageTable:
    """Every row, under columns that are shown first and columns that are shown on demand."""

    rows: list[Row]
    first: list[Column]
    more: list[Column]
    filters: list[dict[str, Any]]  # facts that differ: name, heading, values, and the value chosen at first

    @property
    def has_errors(self) -> bool:
        return any(value.error for row in self.rows for value in row.values.values())

    @property
    def has_marks(self) -> bool:
        return any(value.differs for row in self.rows for value in row.values.values())

    @property
    def several(self) -> list[str]:
        return [each["name"] for each in self.filters]


def page_table(boards: list[Leaderboard], timed: pd.DataFrame) -> PageTable | None:
    """Return the leaderboard of a page; None without a record.

    Args:
        timed: cells with the times of one machine and commit per text and budget.
    """
    main = main_board(boards)
    if main is None:
        return None
    trunks = trunk_names(pd.concat([board.cells for board in boards]).trunk)
    rows = [row for board in boards for row in board_rows(board, timed, trunks)]
    chosen = {"size": f"{main.size:,}", "corpus": main.corpus, "data": main.budget}
    values = {
        name: sorted({row.facts[name] for row in rows} - {""}, key=lambda each: (len(each), each)) for name in FILTERS
    }
    filters = [
        {"name": name, "heading": heading, "values": values[name], "chosen": chosen.get(name, "")}
        for name, heading in FILTERS.items()
        if len(values[name]) > 1
    ]
    columns = [
        column
        for column in (*shown_quality(), *COST)
        if any(column.name in row.values and row.values[column.name].text != NULL for row in rows)
    ]
    first = sorted((each for each in columns if each.name in FIRST), key=lambda each: FIRST.index(each.name))
    first = first[: MOST_COLUMNS - 1 - (len(values["size"]) > 1)]
    return PageTable(rows, first, [each for each in columns if each not in first], filters)


def board_rows(board: Leaderboard, timed: pd.DataFrame, trunks: dict[str, str]) -> Iterator[Row]:
    """Yield the rows of one leaderboard, with costs of one machine and commit."""
    here = timed[timed.vocabulary_size == board.size]
    here = in_group(here, (board.corpus, board.budget)).set_index("label", drop=False).loc[board.cells.label]
    costs = {column.name: cost_values(here, column) for column in COST}
    for i, ((_, cell), row) in enumerate(zip(board.cells.iterrows(), board.systems.rows, strict=True)):
        yield Row(
            label=row.label,
            kind=row.kind,
            seeds=row.seeds,
            failures=row.failures,
            facts={
                "size": f"{board.size:,}",
                "corpus": board.corpus,
                "data": board.budget,
                "trunk": trunks[cell.trunk],
                "system": cell.system,
            },
            values=row.values | {name: values[i] for name, values in costs.items()},
            order={column.name: sortable(cell, column) for column in shown_quality()}
            | {column.name: sortable(here.iloc[i], column) for column in COST},
        )


def cost_values(cells: pd.DataFrame, column: Column) -> list[Value]:
    """Format one cost of the cells of a table; the least among the trained systems leads."""
    texts = [text(cell, column) for _, cell in cells.iterrows()]
    least = leading_text(cells, column, texts)
    return [
        Value(shown, leads=cell.competes and shown == least)
        for shown, (_, cell) in zip(texts, cells.iterrows(), strict=True)
    ]


def sortable(cell: pd.Series, column: Column) -> float:
    """Return a figure; one that was not measured is behind all others when the best is first."""
    figure = cell[column.name] * column.scale
    return figure if isfinite(figure) else LAST if column.direction == "lower" else -LAST


def trunk_names(trunks: pd.Series) -> dict[str, str]:
    """Return a short name of each trunk, from the settings in which trunks differ; empty for a system without one."""
    known = [trunk for trunk in dict.fromkeys(trunks) if trunk]
    read = [json.loads(trunk) for trunk in known]
    settings = pd.DataFrame([{"backbone": name} | flatten(more) for name, more in read]).fillna("null").astype(str)
    chosen = deciding_settings(settings, pd.Series(0, settings.index)) if known else settings
    names = variant_labels("trunk", chosen) if known else []
    return {"": ""} | {trunk: name.removeprefix("trunk, ") for trunk, name in zip(known, names, strict=True)}
