"""Compute the figure that a query names, from the records or the cost ledgers in a folder."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bench.core.errors import SettingError
from bench.evaluation.metrics import METRICS
from bench.report import run_table, significance
from bench.report.data_law import FEWEST_SIZES, exponent, gap_growth
from bench.report.figure_query import Query
from bench.report.figure_sides import FigureValue, check_times, side
from bench.report.glossary import COLUMNS
from bench.report.named_settings import selected_runs, written
from bench.report.number_format import signed, warranted_decimals
from bench.report.record_facts import UNTRAINED
from bench.report.shared_words import ordering
from bench.report.words_plots import with_words


def figure_value(query: Query, folder: Path) -> FigureValue:
    """Compute the figure that a query names from the records in a folder.

    Raises:
        SettingError: no record, or records of several variants, match; or the figure was not measured.
    """
    if query.form == "best":
        return best(query, folder)
    if query.form.endswith("growth"):
        return growth(query, folder)
    first = side(query.first, folder)
    if not query.operator:
        return first.figure(query)
    second = side(query.second, folder)
    if first.name == second.name:
        raise SettingError(query.figure, f"both sides are {first.name}; select two")
    return first.compared(second, query)


def best(query: Query, folder: Path) -> FigureValue:
    """Return the best trained system, and those that do not differ from it significantly, each with its difference.

    Without a p, as with one seed, two systems differ if the interval of their difference excludes zero.
    """
    runs = selected_runs(folder, query.first)
    tables = runs[[*run_table.GROUP, "vocabulary_size"]].drop_duplicates()
    if len(tables) > 1:
        varied = ", ".join(name for name in tables if tables[name].nunique() > 1)
        raise SettingError(query.figure, f"best of several tables, which differ in {varied}; name one by `where`")
    column = COLUMNS.get(query.figure)
    if column is None or column.direction == "neither":
        raise SettingError(query.figure, "is not a column for which lower or higher is better; name such a column")
    cells = run_table.cells(runs)
    cells = cells[cells.competes & cells[query.figure].notna()] if len(cells) else cells
    if cells.empty:
        raise SettingError(query.figure, f"no trained system in {folder} has this figure; select others")
    check_times(query.figure, {name for each in cells.origins for name in each})
    cells = cells.assign(order=ordering(cells, query.figure))
    ranked = cells.sort_values(["order", "label"], ascending=[column.direction == "lower", True])
    first, *others = (cell for _, cell in ranked.iterrows())
    names, seeds = [first.label], [int(first.seeds)]
    compared = significance.compared_with(first, others, query.figure)
    for other in others:
        if (comparison := compared.get(other.label)) is None:
            if query.figure not in METRICS:  # figures without an interval, such as parameters, differ
                continue
            problem = f"{other.label} cannot be compared with {first.label}: other test words, or too few documents"
            raise SettingError(query.figure, f"{problem}; select cells of one test text")
        mean, low, high = (column.scale * each for each in comparison.test[:3])
        excludes_zero = low > 0 or high < 0
        if not (excludes_zero if comparison.differs is None else comparison.differs):
            names.append(f"{other.label} ({signed(mean, warranted_decimals(low, high))})")
            seeds.append(int(other.seeds))
    return FigureValue(text="; ".join(names), seeds=min(seeds))


def growth(query: Query, folder: Path) -> FigureValue:
    """Return α of a system, or the growth of its difference to another per tenfold words; or the interval of these.

    The number of seeds is the largest at any number of words: the law pools the variance over seeds.
    """
    if query.figure != "bits_per_byte" or query.operator == "over":
        raise SettingError(query.figure, "has no law; write growth of bits_per_byte of key=value … [minus key=value …]")
    lines = [line_of(chosen, folder) for chosen in ((query.first, query.second) if query.operator else (query.first,))]
    shared = sorted(set.intersection(*(set(line.words) for line in lines)))
    lines = [line[line.words.isin(shared)].sort_values("words") for line in lines]
    if len(shared) < FEWEST_SIZES:
        raise SettingError(query.figure, f"was measured at {len(shared)} numbers of words; a law needs {FEWEST_SIZES}")
    found = gap_growth([*zip(*(each.iloc for each in lines), strict=True)]) if query.operator else exponent(lines[0])
    if found is None:
        problem = "has no law: test texts differ, or records have no sums per document; run the cells again"
        raise SettingError(query.figure, problem)
    seeds = [int(line.seeds.max()) for line in lines if line.kind.iloc[0] not in UNTRAINED]
    numbers = (found.low, found.high) if query.form.startswith("interval") else (found.value,)
    return FigureValue(tuple(each * query.factor for each in numbers), seeds=min(seeds) if seeds else None)


def line_of(chosen: Mapping[str, str], folder: Path) -> pd.DataFrame:
    """Return the cells of one system at each number of training words."""
    runs = selected_runs(folder, chosen)
    limits = {config["budget"]["words"] for config in runs.config} - {None}
    cells = pd.DataFrame([side({**chosen, "budget.words": str(limit)}, folder).means for limit in sorted(limits)])
    if len(cells) and cells.variant.nunique() > 1:
        raise SettingError(written(chosen), "selects settings that vary with the number of words; name one value")
    return with_words(runs, cells)
