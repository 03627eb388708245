"""One side of a query: the cell, or the row of a cost ledger, that its settings select, and the figures of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.errors import SettingError
from bench.evaluation.intervals import common_formula, mean_over_seeds, same_words
from bench.evaluation.metrics import METRICS
from bench.report import run_table, significance
from bench.report.figure_query import Query
from bench.report.glossary import COLUMNS, TIMES
from bench.report.named_settings import FACTS, ledger_rows, only_cell, selected_row, selected_runs
from bench.report.number_format import listed
from bench.report.record_facts import UNTRAINED
from bench.report.run_table import CELL

CONDITIONS = ("device", "precision", "threads", "git_commit")  # of a cost ledger: costs of others do not compare


def check_times(figure: str, origins: set[str]) -> None:
    """Refuse a figure that a clock measured if it is of several machines, commits or numbers of cells at once."""
    if figure.split(".")[0] in TIMES and len(origins) > 1:
        problem = f"times of {listed(sorted(origins))} do not compare"
        raise SettingError(figure, f"{problem}; name device=, git_commit= or cells_at_once=")


@dataclass(frozen=True)
class FigureValue:
    """The figure that the records give.

    `numbers` has one number, or the two ends of an interval; `text` holds the names of a `best`. `seeds` is the
    smallest number of seeds behind it, None if no training seed changes it.
    """

    numbers: tuple[float, ...] = ()
    text: str = ""
    seeds: int | None = None


@dataclass(frozen=True, eq=False)
class Cell:
    """Runs of one cell, and their means."""

    runs: pd.DataFrame
    means: pd.Series

    @property
    def name(self) -> str:
        return f"{self.means.label} at V = {self.means.vocabulary_size:,}, {self.means.corpus}, {self.means.budget}"

    @property
    def seeds(self) -> int | None:
        return None if self.means.kind in UNTRAINED else int(self.means.seeds)

    def seeds_of(self, query: Query) -> int | None:
        """Return the number of seeds that have a figure; None if no training seed changes it."""
        root = query.figure.split(".")[0]
        good = self.runs[self.runs.status == "ok"]
        return self.seeds if self.seeds is None or root not in good else int(good[root].notna().sum())

    def value(self, query: Query) -> float:
        """Return the mean over seeds, in the unit of the tables."""
        root, *path = query.figure.split(".")
        check_times(query.figure, set(self.means.origins))
        if root in self.means and not path and root in COLUMNS:
            value = self.means[root] * COLUMNS[root].scale
        elif root in self.runs:
            good = self.runs[self.runs.status == "ok"]
            values = [measured(inside(each, path), query, self.means.label) for each in good[root]]
            value = sum(values) / len(values) if values else None
        else:
            raise SettingError(query.figure, "is not a figure of a record; docs/metrics.md lists the figures")
        return float(measured(value, query, self.means.label) * query.factor)

    def figure(self, query: Query) -> FigureValue:
        """Return the figure of this cell alone."""
        if query.form == "value":
            return FigureValue((self.value(query),), seeds=self.seeds_of(query))
        ends = significance.interval_ends(self.means, COLUMNS[query.figure]) if query.figure in COLUMNS else None
        if query.form == "p" or ends is None:
            raise SettingError(query.figure, f"has no {query.form} for one system; name two by `minus`")
        return FigureValue(tuple(end * COLUMNS[query.figure].scale * query.factor for end in ends), seeds=self.seeds)

    def compared(self, other: "Cell", query: Query) -> FigureValue:
        """Return the difference to another cell, its interval or its p, paired on the same documents; or the ratio."""
        counts = [count for each in (self, other) if (count := each.seeds_of(query)) is not None]
        seeds = min(counts) if counts else None
        if query.form == "value":
            check_times(query.figure, {*self.means.origins, *other.means.origins})
            is_ratio = query.operator == "over"
            number = self.value(query) / other.value(query) if is_ratio else self.difference(other, query)
            return FigureValue((number,), seeds=seeds)
        test = None if query.operator == "over" else significance.difference(self.means, other.means, query.figure)
        if test is None or (query.form == "p" and test.p is None):
            causes = "only one seed, different test texts, or a figure that is not paired"
            problem = f"has no {query.form}: {causes}; select cells of one test text and of two or more seeds"
            raise SettingError(query.figure, problem)
        scale = COLUMNS[query.figure].scale * query.factor
        numbers = (test.p,) if query.form == "p" else (test.low * scale, test.high * scale)
        return FigureValue(numbers, seeds=seeds)

    def difference(self, other: "Cell", query: Query) -> float:
        """Return the difference to another cell; of a metric of words, on the words that both systems have ranked.

        Raises:
            SettingError: the systems read different test texts, or were ranked on different words of one.
        """
        ours, theirs = self.means.blocks, other.means.blocks
        if query.figure not in METRICS or METRICS[query.figure].formula is None or ours is None or theirs is None:
            return self.value(query) - other.value(query)
        formula = common_formula(query.figure, ours, theirs) if same_words([ours, theirs]) else None
        if formula is None:
            problem = f"{self.name} and {other.name} were measured on different test words; select cells of one text"
            raise SettingError(query.figure, problem)
        first, second = (float(mean_over_seeds(formula, each.totals)[0]) for each in (ours, theirs))
        return (
            measured(first - second, query, f"{self.name} or {other.name}") * COLUMNS[query.figure].scale * query.factor
        )


@dataclass(frozen=True)
class LedgerEntry:
    """One row of a cost ledger, with the facts of its ledger."""

    row: Mapping[str, Any]

    @property
    def name(self) -> str:
        return ", ".join(f"{name} {self.row.get(name)}" for name in ("contender", *FACTS))

    def value(self, query: Query) -> float:
        """Return a figure; of a span the median."""
        root, *path = query.figure.split(".")
        if root not in self.row:
            raise SettingError(query.figure, "is not a figure of a cost ledger; bench/cost/schema.py lists the figures")
        value = inside(self.row[root], path)
        value = value[1] if isinstance(value, list) and len(value) == 3 else value
        scale = COLUMNS[root].scale if root in COLUMNS and not path else 1.0
        return float(measured(value, query, self.row["contender"]) * scale * query.factor)

    def figure(self, query: Query) -> FigureValue:
        """Return the figure."""
        if query.form != "value":
            raise SettingError(query.figure, f"has no {query.form} in a cost ledger; ask for its value")
        return FigureValue((self.value(query),))

    def compared(self, other: "LedgerEntry", query: Query) -> FigureValue:
        """Return the difference to another row, or the ratio."""
        if query.form != "value":
            raise SettingError(query.figure, f"has no {query.form} of a difference in a cost ledger; ask for its value")
        if unlike := [name for name in CONDITIONS if self.row.get(name) != other.row.get(name)]:
            problem = f"{self.name} and {other.name} differ in {listed(unlike)}"
            raise SettingError(query.figure, f"{problem}; select rows that were measured together")
        ours, theirs = self.value(query), other.value(query)
        return FigureValue((ours / theirs if query.operator == "over" else ours - theirs,))


@cache
def side_of(chosen: tuple[tuple[str, str], ...], folder: Path) -> Cell | LedgerEntry:
    """Return the cell or the ledger's row of settings."""
    if "contender" in dict(chosen):
        return LedgerEntry(selected_row(ledger_rows(folder), dict(chosen), folder))
    runs = only_cell(selected_runs(folder, dict(chosen)), dict(chosen))
    key = dict(zip(CELL, runs.iloc[0][CELL], strict=True))
    return Cell(runs, pd.Series(key | run_table.cell(runs)))


def side(chosen: Mapping[str, str], folder: Path) -> Cell | LedgerEntry:
    """Return the cell or the ledger's row of one side of a query."""
    if not chosen:
        raise SettingError(str(folder), "the query selects no record; write FIGURE of key=value …")
    return side_of(tuple(sorted(chosen.items())), folder)


def inside(value: Any, path: list[str]) -> Any:
    """Follow a dotted path into a value; in a list of rows, a part is an index or the first entry of a row.

    Raises:
        SettingError: the path leads nowhere.
    """
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, list) and (rows := [row for row in value if next(iter(row.values()), None) == part]):
            value = rows[0]
        else:
            raise SettingError(".".join(path), f"the record has no entry {part} at this place; correct the path")
    return value


def measured(value: Any, query: Query, label: str) -> Any:
    """Check that a figure is a number.

    Raises:
        SettingError: it was not measured, or holds several numbers.
    """
    if isinstance(value, dict | list):
        raise SettingError(query.figure, "holds several numbers; name one by its path")
    if value is None or pd.isna(value):
        raise SettingError(query.figure, f"was not measured for {label}; select another cell, or measure it")
    return value
