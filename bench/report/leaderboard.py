"""Tables of cells: a leaderboard per corpus, budget and V."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.evaluation.intervals import same_words
from bench.evaluation.metric_definition import Column, Metric
from bench.evaluation.metrics import METRICS
from bench.report import significance
from bench.report.glossary import COST, quality, shown_quality
from bench.report.leaderboard_caption import facts, legend
from bench.report.markdown import table_lines, write_document
from bench.report.number_format import UNDEFINED, mean_and_error
from bench.report.origins import by_origin
from bench.report.record_facts import budget_order
from bench.report.shared_words import ordering
from bench.report.significance import NOT_COMPARED, REFERENCE, Comparisons
from bench.report.table import Part, Table, TableRow, Value, measured_columns

LEGEND = (
    "Bold: best of its column among the models trained on this text alone (target vectors may come from a pre-trained "
    "encoder); *italic*: floors (count models), limits (the true distribution) and pre-trained models; "
    "× did not finish; – was not measured."
)


@dataclass(frozen=True)
class Leaderboard:
    """All cells of one corpus, budget and vocabulary size."""

    corpus: str
    budget: str
    size: int
    cells: pd.DataFrame
    comparisons: Comparisons
    systems: Table
    costs: list[Table]  # one per machine and commit; empty if all costs are of one origin: `systems` has these
    differences: Table | None  # to the baseline

    @property
    def tables(self) -> list[Table]:
        return [self.systems, *self.costs, *([self.differences] if self.differences else [])]


def leaderboards(runs: pd.DataFrame, cells: pd.DataFrame, baseline: str = REFERENCE) -> Iterator[Leaderboard]:
    """Yield a leaderboard per corpus, budget and V; `baseline` is a system or a label."""
    names_budget = runs.budget.nunique() > 1
    groups = cells.groupby(["corpus", "budget", "vocabulary_size"])
    for (corpus, budget, size), group in sorted(groups, key=lambda each: (each[0][0], budget_order(each[0][1]))):
        measured = runs[(runs.corpus == corpus) & (runs.budget == budget) & (runs.vocabulary_size == size)]
        comparisons = significance.compare(group, baseline)
        body = rows(group, comparisons)
        title = f"{corpus}, V = {size:,}" + (f", {budget}" if names_budget and budget else "")
        origins = by_origin(measured)
        systems = Table(
            title=title,
            caption=f"{facts(measured)} · {legend(group, comparisons)}",
            rows=body,
            parts=parts(body, COST if len(origins) < 2 else ()),
            notes=[f"{cell.label}: {cell.settings}" for _, cell in group.iterrows() if cell.settings],
            counts_seeds=True,
        )
        yield Leaderboard(
            corpus=corpus,
            budget=budget,
            size=size,
            cells=group,
            comparisons=comparisons,
            systems=systems,
            costs=[cost_table(title, *each) for each in origins.items()] if len(origins) > 1 else [],
            differences=significance.differences(group, comparisons),
        )


def cost_table(title: str, origin: str, cells: pd.DataFrame) -> Table:
    """Return the costs that the runs of one machine and commit measured."""
    body = rows(cells)
    columns = measured_columns(body, COST)
    caption = f"Runs on {origin or 'an unrecorded machine'} alone: times of other machines or commits do not compare."
    measured = [row for row in body if measured_columns([row], columns)]
    return Table(f"{title}: costs, {origin or 'not recorded'}", caption, measured, [Part(columns)], counts_seeds=True)


def write(boards: list[Leaderboard], path: Path, more: Sequence[Table] = ()) -> None:
    """Write the Markdown leaderboards, and more tables below them."""
    lines = [LEGEND, ""]
    for board in boards:
        lines += table_lines(board.systems, level=2)
        for table in board.tables[1:]:
            lines += table_lines(table)
    lines += [line for table in more for line in table_lines(table)]
    write_document(path, "Leaderboard", lines, [*shown_quality(), *COST])


def parts(body: list[TableRow], costs: Sequence[Column]) -> list[Part]:
    """Return the headline columns, and below them, folded, the other quality columns and the costs."""
    headline = measured_columns(body, quality("headline")) or [*quality("headline")]
    folded = {
        "Other quality columns": measured_columns(body, quality("detail")),
        "Costs": measured_columns(body, costs),
    }
    return [Part(headline), *(Part(columns, title, True) for title, columns in folded.items() if columns)]


def rows(cells: pd.DataFrame, comparisons: Comparisons = NOT_COMPARED) -> list[TableRow]:
    """Format the cells of one table, in order; a figure that prints like the best one leads too."""
    limit = significance.limit(cells)
    values: dict[str, list[Value]] = {}
    for column in (*shown_quality(), *COST):
        texts = [text(cell, column) for _, cell in cells.iterrows()]
        best = leading_text(cells, column, texts)
        compared = [comparisons.get(cell, column) for _, cell in cells.iterrows()]
        values[column.name] = [
            Value(
                text=texts[i],
                interval=significance.interval_text(cell, column, limit),
                note="proxy" if is_proxy(cell, column) else "",
                leads=cell.competes and texts[i] == best and not is_proxy(cell, column),
                differs=compared[i] is not None and compared[i].is_significant,
            )
            for i, (_, cell) in enumerate(cells.iterrows())
        ]
    return [
        TableRow(
            label=cell.label if cell.seeds else f"× {cell.label}",
            kind="" if cell.competes else cell.kind,
            values={name: column_values[i] for name, column_values in values.items()},
            seeds=cell.seeds,
            failures=[f"× {failure}" for failure in cell.failures],
        )
        for i, (_, cell) in enumerate(cells.iterrows())
    ]


def text(cell: pd.Series, column: Column) -> str:
    """Return `mean ± standard error` of one figure."""
    if column.name == "brier_lm" and cell.is_undefined:
        return UNDEFINED
    mean, error = (cell[name] * column.scale for name in (column.name, f"{column.name}_se"))
    return mean_and_error(mean, error, column.digits)


def is_proxy(cell: pd.Series, column: Column) -> bool:
    """True for a perplexity of scores that are no log-probabilities."""
    assumes_density = isinstance(column, Metric) and column.assumes_density
    return bool(assumes_density and cell.is_proxy and pd.notna(cell[column.name]))


def leading_text(cells: pd.DataFrame, column: Column, texts: list[str]) -> str | None:
    """Return the best text of a column; proxies do not compete, nor do italic rows.

    Two systems that were ranked on different words are compared on those that they share. None if systems were measured
    on different test words.
    """
    competes = [cell.competes and not is_proxy(cell, column) for _, cell in cells.iterrows()]
    competing = cells.reset_index(drop=True)[competes]
    competing = competing[competing[column.name].notna()]
    if competing.empty:
        return None
    known = [each for each in competing.blocks if each is not None]
    if column.name in METRICS and not same_words(known):
        return None
    means = ordering(competing, column.name)
    return texts[means.idxmin() if column.direction == "lower" else means.idxmax()]
