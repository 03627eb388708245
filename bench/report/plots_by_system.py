"""Figures of runs at one V: a row per system, the best bits per byte first."""

from math import isfinite

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.evaluation.metric_definition import Column
from bench.report.glossary import COLUMNS, COST
from bench.report.number_format import mean_and_error
from bench.report.plot_style import HOW, INK, LineStyles, abbreviated, new_figure, wrapped

QUALITY_FIELDS = ("bits_per_byte", "accuracy_at_1", "calibrated_accuracy_at_1")

COST_FIELDS = tuple(column.name for column in COST if column.grows)  # costs that depend on the head and on V

SHOWN_COSTS = ("train_seconds", "decode_ms_1", "peak_mib")  # at one V, where tables show the others

NAME_WIDTH = 36  # characters; a longer name is wrapped

NAME_HEIGHT = 0.19  # inches per line


def plot_by_system(axis: Axes, cells: pd.DataFrame, column: Column, styles: LineStyles, bars: bool) -> None:
    """Plot one measure at one V: a row per system, with its standard error and, at the right, its value.

    Bars begin at zero; points alone show small differences.
    """
    values, errors = cells[column.name] * column.scale, cells[f"{column.name}_se"] * column.scale
    for row, (label, value, error) in enumerate(zip(cells.label, values, errors, strict=True)):
        style = styles[label] | {"linestyle": ""} | ({"marker": ""} if bars else {})
        axis.errorbar(value, row, xerr=error if isfinite(error) else None, elinewidth=1, capsize=2, **style)
        if bars:
            axis.barh(row, value, height=0.62, color=style["color"], alpha=0.75)
        text = mean_and_error(value, digits=column.digits) if cells.seeds.iloc[row] else "×"
        axis.text(1.02, row, text, va="center", fontsize=7.5, transform=axis.get_yaxis_transform())
    axis.set(yticks=range(len(cells)), yticklabels=[wrapped(label, NAME_WIDTH) for label in cells.label])
    axis.set(title=column.heading_with_arrow, ylim=(len(cells) - 0.5, -0.5))
    axis.tick_params(axis="y", labelcolor=INK)
    axis.xaxis.set(major_locator=MaxNLocator(4), major_formatter=FuncFormatter(abbreviated))
    if bars:
        axis.set_xlim(left=0)


def figure_by_system(
    cells: pd.DataFrame, styles: LineStyles, fields: tuple[str, ...], title: str, how: str, bars: bool
) -> Figure | None:
    """Return a panel per measure, with the systems in the order of their bits per byte; None with several V."""
    entries = [COLUMNS[field] for field in fields if cells[field].notna().any()]
    if not entries or cells.vocabulary_size.nunique() > 1:
        return None
    cells = cells.sort_values("bits_per_byte", kind="stable")
    lines = sum(wrapped(label, NAME_WIDTH).count("\n") + 1 for label in cells.label)
    title = f"{title}, V = {cells.vocabulary_size.iloc[0]:,}"
    figure, axes = new_figure((1, len(entries)), 0.7 + NAME_HEIGHT * lines, title, how, sharey=True)
    for axis, column in zip(axes[0], entries, strict=True):
        plot_by_system(axis, cells, column, styles, bars)
    return figure


def quality_by_system(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw quality at one V, sorted by bits per byte."""
    how = f"{HOW} –|–: standard error. ×: did not finish."
    return figure_by_system(cells, styles, QUALITY_FIELDS, "Quality by system", how, bars=False)


def cost_by_system(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw the main costs at one V, sorted by bits per byte."""
    how = "Lower is better. Best bits per byte first. –|–: standard error. ×: did not finish. –: not measured."
    return figure_by_system(cells[cells.competes], styles, SHOWN_COSTS, "Cost by system", how, bars=True)
