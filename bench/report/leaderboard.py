"""Cells -> what a reader is shown: a table a corpus, budget and V. Markdown, terminal and page draw it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from bench.report import significance
from bench.report.glossary import COST, QUALITY, Entry
from bench.report.number_format import NULL, UNDEFINED, shown, span
from bench.report.significance import Compared


@dataclass(frozen=True)
class Figure:
    """One figure as the reader sees it."""

    text: str = NULL  # mean ± standard error
    interval: str = ""
    note: str = ""  # proxy
    leads: bool = False  # the trained systems of its table
    differs: bool = False  # from full softmax: the paired difference's interval excludes 0

    @property
    def mean(self) -> str:
        return self.text.partition(" ± ")[0] + ("†" if self.differs else "")

    @property
    def error(self) -> str:
        return self.text.partition(" ± ")[2]

    def __str__(self) -> str:
        parts = (self.mean, f"± {self.error}" if self.error else "", self.interval, self.note)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Row:
    """A cell: its figures by field."""

    label: str
    kind: str  # floor | limit | empty: it competes
    figures: dict[str, Figure]
    seeds: int
    failures: list[str]

    @property
    def title(self) -> str:
        return f"{self.label} ({self.kind})" if self.kind else self.label


@dataclass(frozen=True)
class Table:
    """All cells of one corpus, budget and vocabulary size."""

    corpus: str
    budget: str
    size: int
    facts: str  # what the numbers were measured on
    marks: str  # how to read what stands beside them
    rows: list[Row]
    differences: list[tuple[str, str, list[Compared]]]
    first: str = "system"  # what a row is

    @property
    def title(self) -> str:
        return f"{self.corpus} · {self.facts}"

    def columns(self, every: tuple[Entry, ...]) -> list[Entry]:
        """Those that anybody was measured on; all where nobody was."""
        return [entry for entry in every if any(row.figures[entry.field].text != NULL for row in self.rows)] or [*every]

    @property
    def parts(self) -> list[list[Entry]]:
        """Quality and cost: one table of both would be too wide to read."""
        return [self.columns(QUALITY), self.columns(COST)]


def tables(runs: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Table]:
    for (corpus, budget, size), group in cells.groupby(["corpus", "budget", "vocabulary_size"]):
        here = runs[(runs.corpus == corpus) & (runs.budget == budget) & (runs.vocabulary_size == size)]
        body = rows(group)
        against = significance.differences(group)
        yield Table(corpus, budget, size, facts(here), marks(group, body), body, against)


def rows(cells: pd.DataFrame) -> list[Row]:
    """The cells of one table -> its rows, in their order; what reads the same as the best one leads too."""
    limit, reference = significance.limit(cells), significance.reference(cells)
    columns: dict[str, list[Figure]] = {}
    for entry in (*QUALITY, *COST):
        texts = [text(cell, entry) for _, cell in cells.iterrows()]
        best = leader(cells, entry, texts)
        columns[entry.field] = [
            Figure(
                text=texts[i],
                interval=significance.interval(cell, entry, limit),
                note="proxy" if is_proxy(cell, entry) else "",
                leads=cell.competes and texts[i] == best and not is_proxy(cell, entry),
                differs=bool((apart := significance.found(cell, reference, entry.field)) and apart.excludes_zero),
            )
            for i, (_, cell) in enumerate(cells.iterrows())
        ]
    return [
        Row(
            label=cell.label if cell.seeds else f"× {cell.label}",
            kind=cell.kind,
            figures={field: figures[i] for field, figures in columns.items()},
            seeds=cell.seeds,
            failures=[f"× {failure}" for failure in cell.failures],
        )
        for i, (_, cell) in enumerate(cells.iterrows())
    ]


def text(cell: pd.Series, entry: Entry) -> str:
    """`mean ± standard error` of one figure."""
    if entry.field == "brier_lm" and cell.is_undefined:
        return UNDEFINED
    return shown(cell[entry.field] * entry.scale, cell[f"{entry.field}_se"] * entry.scale, entry.digits)


def is_proxy(cell: pd.Series, entry: Entry) -> bool:
    """A raw perplexity of scores that are no log-probabilities."""
    return bool(entry.field == "raw_closed_perplexity" and cell.is_proxy and pd.notna(cell[entry.field]))


def leader(cells: pd.DataFrame, entry: Entry, texts: list[str]) -> str | None:
    """The best text of a column; floors, limits and proxies do not compete."""
    means = cells[entry.field].reset_index(drop=True)
    competes = [cell.competes and not is_proxy(cell, entry) for _, cell in cells.iterrows()]
    means = means[competes].dropna()
    if means.empty:
        return None
    return texts[means.idxmin() if entry.better == "lower" else means.idxmax()]


def facts(runs: pd.DataFrame) -> str:
    """What one table's numbers were measured on."""
    good = runs[runs.status == "ok"]
    trained = good.trained_words[good.competes]
    parts = [f"V = {runs.vocabulary_size.iloc[0]:,}"]
    if runs.budget.iloc[0]:
        parts.append(runs.budget.iloc[0])
    if good.coverage.notna().any():
        parts.append(f"coverage {span(good.coverage * 100)} %")
    if good.test_words.notna().any():
        parts.append(f"{span(good.test_words)} test words")
    for label, fewer in good[good.ranked_words < good.test_words].groupby("system"):
        parts.append(f"{label} ranked on {span(fewer.ranked_words)} of them")
    if trained.notna().any():
        parts.append(f"trained on {span(trained)} words")
    if good.entropy_rate_bits.notna().any():
        parts.append(f"entropy rate {span(good.entropy_rate_bits, 3)} bits a word")
    return " · ".join([*parts, *(f"on {device}" for device in sorted(set(good.device.dropna())))])


def marks(cells: pd.DataFrame, body: list[Row]) -> str:
    """What ±, brackets and † mean, where they stand."""
    parts = ["± is the standard error over seeds" if cells.seeds.max() > 1 else "one seed: no standard error"]
    if any(figure.interval for row in body for figure in row.figures.values()):
        counts = sorted({len(blocks) for blocks in cells.blocks.dropna()})
        number = "–".join(str(each) for each in dict.fromkeys((counts[0], counts[-1])))
        parts.append(f"[ ] is a 95 % interval over the test text, from {number} blocks of documents resampled")
    if any(figure.differs for row in body for figure in row.figures.values()):
        label = significance.reference(cells).label
        parts.append(f"† differs from {label}: the interval of the paired difference excludes 0")
    return " · ".join(parts)
