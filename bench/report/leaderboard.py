"""Tables of cells: a leaderboard per corpus, budget and V."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.evaluation.intervals import FEWEST_BLOCKS
from bench.evaluation.metric_definition import Column, Metric
from bench.report import significance
from bench.report.glossary import COST, quality, shown_quality
from bench.report.markdown import table_lines, write_document
from bench.report.number_format import UNDEFINED, extent, listed, mean_and_error
from bench.report.origins import by_origin
from bench.report.paired_test import FEWEST_DOCUMENTS
from bench.report.record_facts import UNTRAINED, budget_order
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

    Two systems that were ranked on different words are compared on those that they share.
    """
    competes = [cell.competes and not is_proxy(cell, column) for _, cell in cells.iterrows()]
    competing = cells.reset_index(drop=True)[competes]
    competing = competing[competing[column.name].notna()]
    if competing.empty:
        return None
    means = ordering(competing, column.name)
    return texts[means.idxmin() if column.direction == "lower" else means.idxmax()]


def facts(runs: pd.DataFrame) -> str:
    """Return what one table's numbers were measured on."""
    good = runs[runs.status == "ok"]
    trained = good.trained_words[good.competes]
    parts = [f"V = {runs.vocabulary_size.iloc[0]:,}"]
    if runs.budget.iloc[0]:
        parts.append(runs.budget.iloc[0])
    if good.coverage.notna().any():
        parts.append(f"coverage {extent(good.coverage * 100)} %")
    if good.test_words.notna().any():
        parts.append(f"{extent(good.test_words)} test words")
    for label, fewer in good[good.ranked_words < good.test_words].groupby("system"):
        parts.append(f"{label} ranked on {extent(fewer.ranked_words)} of them")
    if trained.notna().any():
        parts.append(f"trained on {extent(trained)} words")
    if good.entropy_rate_bits.notna().any():
        parts.append(f"entropy rate {extent(good.entropy_rate_bits, 3)} bits per word")
    if left_out := int(runs.replaced.sum()):
        parts.append(f"runs left out since they differ in `generation.*` alone: {left_out}")
    unlike = [label for label, seeds in good.groupby("label") if differs_by_seed(seeds)]
    if unlike:
        parts.append(f"seeds of different code or pre-trained weights: {listed(sorted(unlike))}")
    commits = sorted({commit[:7] for commit in good.git_commit.dropna()})
    if len(commits) > 1:
        parts.append(f"records of {len(commits)} git commits ({', '.join(commits)})")
    parts += [f"on {device}" for device in sorted(set(good.device.dropna()))]
    if (at_once := good.cells_at_once.max()) > 1:
        parts.append(f"{at_once:.0f} cells at once shared the machine: slower times than alone")
    return " · ".join(parts)


def differs_by_seed(seeds: pd.DataFrame) -> bool:
    """True if the seeds of one cell were made by different code, or from different pre-trained weights."""
    return any(seeds[name].nunique() > 1 for name in ("source_sha256", "weights_sha256"))


def legend(cells: pd.DataFrame, comparisons: Comparisons) -> str:
    """Explain ±, brackets and †, if the table has them; and say what could not be compared."""
    parts = ["± is the standard error over seeds" if cells.seeds.max() > 1 else "one seed: no standard error"]
    if counts := sorted({len(blocks) for blocks in cells.blocks.dropna() if len(blocks) >= FEWEST_BLOCKS}):
        number = "–".join(str(each) for each in dict.fromkeys((counts[0], counts[-1])))
        over = "seeds and test text" if cells.seeds.max() > 1 else "the test text"
        is_single = (cells.seeds == 1) & ~cells.kind.isin(UNTRAINED)
        alone = " (of one seed: over the test text alone)" if cells.seeds.max() > 1 and is_single.any() else ""
        parts.append(f"[ ] is a 95 % interval over {over}{alone}, from {number} blocks of documents resampled")
    if any(each.is_significant for each in comparisons.by_cell.values()):
        parts.append(
            f"† differs from {comparisons.shown_name}: p < .05 in a paired t-test across seeds and documents, "
            f"corrected for {comparisons.tested:,} comparisons (Holm), those of the table of differences"
        )
    untested = {label for (label, _), each in comparisons.by_cell.items() if each.p is None}
    if untested:
        needs = f"two seeds and {FEWEST_DOCUMENTS} blocks of documents"
        parts.append(f"not tested, since † needs {needs}: {listed(sorted(untested))}")
    if comparisons.without:
        labels_without = listed(sorted(set(comparisons.without)))
        parts.append(f"not compared, since no {comparisons.name} has the same trunk: {labels_without}")
    return " · ".join(parts)
