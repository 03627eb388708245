"""Tables of cells: a leaderboard per corpus, budget and V."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.evaluation.metric_definition import Column, Metric
from bench.report import significance
from bench.report.glossary import COST, quality, shown_quality
from bench.report.markdown import table_lines, write_document
from bench.report.number_format import UNDEFINED, extent, mean_and_error
from bench.report.table import Part, Table, TableRow, Value, measured_columns

LEGEND = (
    "Bold leads among the trained systems; *italic* rows are floors and limits; × did not finish; – was not measured."
)


@dataclass(frozen=True)
class Leaderboard:
    """All cells of one corpus, budget and vocabulary size."""

    corpus: str
    budget: str
    size: int
    systems: Table
    differences: Table | None  # to full softmax


def leaderboards(runs: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Leaderboard]:
    """Yield a leaderboard per corpus, budget and V."""
    names_budget = runs.budget.nunique() > 1
    for (corpus, budget, size), group in cells.groupby(["corpus", "budget", "vocabulary_size"]):
        measured = runs[(runs.corpus == corpus) & (runs.budget == budget) & (runs.vocabulary_size == size)]
        body = rows(group)
        systems = Table(
            title=f"{corpus}, V = {size:,}" + (f", {budget}" if names_budget and budget else ""),
            caption=f"{facts(measured)} · {legend(group, body)}",
            rows=body,
            parts=parts(body),
            notes=[f"{cell.label}: {cell.settings}" for _, cell in group.iterrows() if cell.settings],
            counts_seeds=True,
        )
        yield Leaderboard(corpus, budget, size, systems, significance.differences(group))


def write(boards: list[Leaderboard], path: Path, more: Sequence[Table] = ()) -> None:
    """Write the Markdown leaderboards, and more tables below them."""
    lines = [LEGEND, ""]
    for board in boards:
        lines += table_lines(board.systems, level=2)
        lines += table_lines(board.differences) if board.differences else []
    lines += [line for table in more for line in table_lines(table)]
    write_document(path, "Leaderboard", lines, [*shown_quality(), *COST])


def parts(body: list[TableRow]) -> list[Part]:
    """Return the headline columns, and below them, folded, the other quality columns and the costs."""
    headline = measured_columns(body, quality("headline")) or [*quality("headline")]
    folded = {
        "Other quality columns": measured_columns(body, quality("detail")),
        "Costs": measured_columns(body, COST),
    }
    return [Part(headline), *(Part(columns, title, True) for title, columns in folded.items() if columns)]


def rows(cells: pd.DataFrame) -> list[TableRow]:
    """Format the cells of one table, in order; a figure that prints like the best one leads too."""
    limit, reference = significance.limit(cells), significance.reference(cells)
    values: dict[str, list[Value]] = {}
    for column in (*shown_quality(), *COST):
        texts = [text(cell, column) for _, cell in cells.iterrows()]
        best = leading_text(cells, column, texts)
        values[column.name] = [
            Value(
                text=texts[i],
                interval=significance.interval(cell, column, limit),
                note="proxy" if is_proxy(cell, column) else "",
                leads=cell.competes and texts[i] == best and not is_proxy(cell, column),
                differs=differs(cell, reference, column),
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


def differs(cell: pd.Series, reference: pd.Series | None, column: Column) -> bool:
    """True if the interval of the paired difference to full softmax excludes 0."""
    apart = significance.difference(cell, reference, column.name)
    return bool(apart and apart.excludes_zero)


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
    """Return the best text of a column; floors, limits and proxies do not compete."""
    means = cells[column.name].reset_index(drop=True)
    competes = [cell.competes and not is_proxy(cell, column) for _, cell in cells.iterrows()]
    means = means[competes].dropna()
    if means.empty:
        return None
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
    commits = sorted({commit[:7] for commit in good.git_commit.dropna()})
    if len(commits) > 1:
        parts.append(f"records of {len(commits)} git commits ({', '.join(commits)})")
    return " · ".join([*parts, *(f"on {device}" for device in sorted(set(good.device.dropna())))])


def legend(cells: pd.DataFrame, body: list[TableRow]) -> str:
    """Explain ±, brackets and †, if the table has them."""
    parts = ["± is the standard error over seeds" if cells.seeds.max() > 1 else "one seed: no standard error"]
    if any(value.interval for row in body for value in row.values.values()):
        counts = sorted({len(blocks) for blocks in cells.blocks.dropna()})
        number = "–".join(str(each) for each in dict.fromkeys((counts[0], counts[-1])))
        parts.append(f"[ ] is a 95 % interval over the test text, from {number} blocks of documents resampled")
    if any(value.differs for row in body for value in row.values.values()):
        label = significance.reference(cells).label
        parts.append(f"† differs from {label}: the interval of the paired difference excludes 0")
    return " · ".join(parts)
