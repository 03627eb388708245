"""Figure of quality against the number of training words: does the distance between heads close with more data?"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.report.plot_style import LineStyles, handles_of, new_figure, set_log_scale
from bench.report.plots_by_system import ENTRIES

FIELDS = ("bits_per_byte", "accuracy_at_1")


def words_of(config: dict[str, Any]) -> float:
    """Return the limit of training words of a run; NaN without one, or beside a limit of time."""
    budget = config.get("budget", {})
    return float("nan") if budget.get("words") is None or budget.get("seconds") else float(budget["words"])


def quality_vs_words(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw bits per byte and accuracy against training words: a row per V; None with one number of words.

    Args:
        runs: of one corpus.
        cells: of these runs.
    """
    words = {budget: words_of(config) for budget, config in zip(runs.budget, runs.config, strict=True)}
    cells = cells.assign(words=cells.budget.map(words))
    cells = cells[cells.words.notna() & cells.bits_per_byte.notna()]
    spread = cells.groupby("vocabulary_size").words.transform("nunique")
    cells = cells[spread > 1]
    if cells.empty:
        return None
    sizes = sorted(set(cells.vocabulary_size))
    how = "↓ lower is better, ↑ higher is better. Grey: floors and limits. –|–: standard error over seeds, if several."
    handles = handles_of(styles, cells.label)
    title, shape = "Quality as the training text grows", (len(sizes), len(FIELDS))
    figure, axes = new_figure(shape, 3.0, title, how, handles, sharex=True)
    for row, size in zip(axes, sizes, strict=True):
        here = cells[cells.vocabulary_size == size].sort_values("words")
        for axis, column in zip(row, (ENTRIES[field] for field in FIELDS), strict=True):
            for label, line in here[here[column.name].notna()].groupby("label"):
                mean, error = line[column.name] * column.scale, line[f"{column.name}_se"].fillna(0) * column.scale
                axis.errorbar(line.words, mean, error, elinewidth=1, capsize=2, **styles[label])
            set_log_scale(axis, "x", sorted(set(here.words)))
            axis.set(title=f"{column.heading_with_arrow}, V = {size:,}", xlabel="training words")
    return figure
