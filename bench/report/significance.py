"""Compare the cells of one table with a baseline: full softmax, or the system that the reader names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, isnan
from typing import TypeVar

import pandas as pd
from scipy import special

from bench.evaluation import intervals
from bench.evaluation.metric_definition import Column
from bench.evaluation.metrics import METRICS
from bench.report.glossary import compared
from bench.report.number_format import bracketed, p_text, signed, warranted_decimals
from bench.report.paired_test import FEWEST_DOCUMENTS, SIGNIFICANCE_LEVEL, PairedTest, holm, paired_test
from bench.report.record_facts import UNTRAINED
from bench.report.table import Part, Table, TableRow, Value

Key = TypeVar("Key")

REFERENCE, STAND_IN = "softmax", "sampled_softmax"  # the baseline unless the reader names another, and its stand-in


@dataclass(frozen=True)
class Comparison:
    """One metric of a cell minus that of its baseline."""

    test: PairedTest
    p: float | None  # corrected for the number of comparisons in the table; None as in the test

    @property
    def is_significant(self) -> bool:
        return self.p is not None and self.p < SIGNIFICANCE_LEVEL

    @property
    def differs(self) -> bool | None:
        """True if the difference is significant; None if it has no p."""
        return None if self.p is None else self.is_significant


@dataclass(frozen=True)
class Comparisons:
    """All comparisons of the cells of one corpus, budget and V with their baselines."""

    name: str  # system or label of the baseline
    baselines: Mapping[str, str]  # label of a cell -> label of its baseline; only cells that have one
    without: list[str]  # labels of cells whose trunk the baseline does not have
    by_cell: Mapping[tuple[str, str], Comparison]  # by the cell's label and the column's name

    def get(self, cell: pd.Series, column: Column) -> Comparison | None:
        """Return the comparison of one figure; None if the cell has no baseline, or no interval exists."""
        return self.by_cell.get((cell.label, column.name))

    @property
    def tested(self) -> int:
        """Number of comparisons that have a p value, for which p is corrected."""
        return sum(each.p is not None for each in self.by_cell.values())

    @property
    def shown_name(self) -> str:
        """Label of the baseline in a sentence; of several variants, those of the same trunk."""
        labels = set(self.baselines.values())
        return labels.pop() if len(labels) == 1 else f"the {self.name} of the same trunk"


NOT_COMPARED = Comparisons(REFERENCE, {}, [], {})


def compare(cells: pd.DataFrame, name: str = REFERENCE) -> Comparisons:
    """Test the compared metrics of every cell against the cell's baseline, and correct p by Holm's method.

    Other metrics say much the same as these: more comparisons would hide differences.

    Args:
        cells: of one corpus, budget and V.
        name: system or label of the baseline.
    """
    baselines = {cell.label: baseline(cell, cells, name) for _, cell in cells.iterrows()}
    pairs = [(cell, baselines[cell.label]) for _, cell in cells.iterrows()]
    tests = {
        (cell.label, column): test
        for cell, other in pairs
        if other is not None and other.label != cell.label
        for column in (metric.name for metric in compared())
        if pd.notna(cell[column])
        if pd.notna(other[column])
        if (test := difference(cell, other, column)) is not None
    }
    return Comparisons(
        name=name,
        baselines={label: other.label for label, other in baselines.items() if other is not None},
        without=[cell.label for cell, other in pairs if other is None and len(candidates(cells, name))],
        by_cell=corrected(tests),
    )


def default_baseline(runs: pd.DataFrame) -> str:
    """Return full softmax, or sampled softmax in runs without it: large sweeps leave full softmax out for its cost."""
    return STAND_IN if REFERENCE not in set(runs.system) and STAND_IN in set(runs.system) else REFERENCE


def candidates(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the cells of a system, or of a label, that ended well; the best variant is first."""
    return cells[((cells.system == name) | (cells.label == name)) & (cells.seeds > 0)]


def baseline(cell: pd.Series, cells: pd.DataFrame, name: str) -> pd.Series | None:
    """Return the baseline of a cell among the cells of its table: of several variants the best.

    A cell with a trunk is compared with a baseline of the same trunk; None if there is none. A system without a trunk
    of this project (GPT-2, a count model, the known truth) is compared with the best baseline.
    """
    others = candidates(cells, name)
    if cell.trunk and others.trunk.any():
        others = others[others.trunk == cell.trunk]
    return None if others.empty else others.iloc[0]


def limit(cells: pd.DataFrame) -> pd.Series | None:
    """Return the language's own distribution among the cells of one table."""
    known = cells[(cells.kind == "limit") & cells.blocks.notna()]
    return None if known.empty else known.iloc[0]


def difference(cell: pd.Series, other: pd.Series, column: str) -> PairedTest | None:
    """Return one figure of a cell minus that of another; None if no interval exists."""
    name = "bits_per_word" if column == "excess" else column  # the limit cancels
    if name not in METRICS:
        return None
    trained = (cell.kind not in UNTRAINED, other.kind not in UNTRAINED)
    return paired_test(name, cell.blocks, other.blocks, trained)


def interval_text(cell: pd.Series, column: Column, limit: pd.Series | None) -> str:
    """Return a quality figure's 95 % interval as text; empty if it has none."""
    ends = interval_ends(cell, column, limit)
    return "" if ends is None else bracketed(*(column.scale * each for each in ends))


def interval_ends(cell: pd.Series, column: Column, limit: pd.Series | None = None) -> tuple[float, float] | None:
    """Return the 95 % interval of a quality figure over documents and seeds together; None if the figure has none.

    The distances from the mean to the ends over documents, and to the ends of Student's t over seeds, are added as
    independent errors are (Zou & Donner 2008). With one seed, the interval is over documents alone.
    """
    name, mean = column.name, cell[column.name]
    if isnan(mean) or name not in METRICS:
        return None
    if name == "excess":
        against = None if limit is None or limit.label == cell.label else difference(cell, limit, name)
        return against and (against.low, against.high)
    ends = intervals.interval(name, cell.blocks)
    if ends is None or cell.seeds < 2:
        return ends
    reach = cell[f"{name}_se"] * -special.stdtrit(cell.seeds - 1, SIGNIFICANCE_LEVEL / 2)
    return mean - hypot(mean - ends[0], reach), mean + hypot(ends[1] - mean, reach)


def differences(cells: pd.DataFrame, comparisons: Comparisons) -> Table | None:
    """Return the table of differences to the baselines; None if no cell can be compared."""
    columns = compared()
    rows = [
        TableRow(
            cell.label,
            "" if cell.competes else cell.kind,
            {each.name: difference_value(comparisons.get(cell, each), each) for each in columns},
        )
        for _, cell in cells.iterrows()
    ]
    rows = [row for row in rows if any(value.interval for value in row.values.values())]
    title = f"Differences to {comparisons.name}"
    return Table(title, caption(comparisons), rows, [Part([*columns])]) if rows else None


def caption(comparisons: Comparisons) -> str:
    """Explain the table of differences."""
    parts = [f"System minus {comparisons.shown_name}, paired on the same test documents: mean and 95 % interval"]
    if comparisons.tested:
        parts[0] += " over seeds and documents"
        parts.append(
            "p: two-sided t-test across seeds and documents, corrected for the "
            f"{comparisons.tested:,} comparisons of this table (Holm). Highlighted: p < .05"
        )
    if any(each.p is None for each in comparisons.by_cell.values()):
        parts.append(
            f"Without p: a trained system has one seed, or the text has fewer than {FEWEST_DOCUMENTS} documents. "
            "With one seed the interval is over documents only, and another seed may change the sign"
        )
    parts.append("If one system was ranked on fewer words, both are compared on these")
    return ". ".join(parts) + "."


def difference_value(comparison: Comparison | None, column: Column) -> Value:
    """Format one difference; it leads if it is significant."""
    if comparison is None:
        return Value()
    mean, low, high = (column.scale * each for each in comparison.test[:3])
    shown_p = "" if comparison.p is None else p_text(comparison.p)
    text = signed(mean, warranted_decimals(low, high))
    return Value(text, bracketed(low, high, "+"), shown_p, leads=comparison.is_significant)


def compared_with(first: pd.Series, others: Sequence[pd.Series], column: str) -> dict[str, Comparison]:
    """Compare one figure of other cells with that of the first, and correct p by Holm's method.

    Returns:
        By the label of a cell; those without an interval are left out.
    """
    tests = {other.label: difference(other, first, column) for other in others}
    return corrected({label: test for label, test in tests.items() if test is not None})


def corrected(tests: Mapping[Key, PairedTest]) -> dict[Key, Comparison]:
    """Correct the p of paired tests for the number of those that have one (Holm 1979)."""
    known = [key for key, test in tests.items() if test.p is not None]
    p_values = dict(zip(known, holm([tests[key].p for key in known]), strict=True))
    return {key: Comparison(test, p_values.get(key)) for key, test in tests.items()}
