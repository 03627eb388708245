"""Tables as readers see them; Markdown, terminal and page are drawn from this one type."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.evaluation.metric_definition import Column
from bench.report.number_format import NULL


@dataclass(frozen=True)
class Value:
    """One formatted figure of a row."""

    text: str = NULL  # mean ± standard error
    interval: str = ""
    note: str = ""  # such as "proxy", or a p value
    leads: bool = False  # highlighted: best of its column, a significant difference, or a gap whose interval excludes 0
    differs: bool = False  # significantly different from the baseline (p < .05, Holm); shown as †

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
class TableRow:
    """One system, or one case of a cost table: a value per column."""

    label: str
    kind: str  # floor | limit | pre-trained | other library | empty: it competes
    values: dict[str, Value]  # by the column's name
    seeds: int = 1  # runs that ended well; 0: the row has no values
    failures: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.label} ({self.kind})" if self.kind else self.label


@dataclass(frozen=True)
class Part:
    """Columns that are shown side by side; a folded part opens on a click."""

    columns: list[Column]
    title: str = ""
    is_folded: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under columns, in one or several parts."""

    title: str
    caption: str
    rows: list[TableRow]
    parts: list[Part]
    label_heading: str = "system"  # heading of the rows' labels
    notes: list[str] = field(default_factory=list)  # printed below the table
    counts_seeds: bool = False  # a last column counts the seeds, and gives the failures of a row

    @property
    def columns(self) -> list[Column]:
        return [column for part in self.parts for column in part.columns]

    @property
    def failures(self) -> list[str]:
        """Failures of rows that have some values, each after its row's label."""
        return [
            f"{row.label.removeprefix('× ')} {failure}" for row in self.rows for failure in row.failures if row.seeds
        ]


def measured_columns(rows: list[TableRow], columns: Iterable[Column]) -> list[Column]:
    """Return the columns in which some row has a value."""
    return [column for column in columns if any(row.values[column.name].text != NULL for row in rows)]
