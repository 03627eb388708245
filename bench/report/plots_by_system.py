"""Figures of runs at one V: a row per system, the best bits per byte first."""

from math import ceil, isfinite

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.evaluation.metric_definition import Column
from bench.report.glossary import COST, every_column
from bench.report.number_format import mean_and_error
from bench.report.plot_style import INK, LineStyles, abbreviated, new_figure, set_log_scale, wrapped

ENTRIES = {column.name: column for column in every_column()}

QUALITY_FIELDS = ("bits_per_byte", "accuracy_at_1", "calibrated_accuracy_at_1")

COST_FIELDS = tuple(column.name for column in COST if column.grows)  # costs that depend on the head and on V

WIDE = 20  # ratio of the largest to the smallest value from which on the axis is logarithmic, without bars

NAME_WIDTH = 36  # characters; a longer name is wrapped

NAME_HEIGHT = 0.19  # inches per line


def measured(cells: pd.DataFrame, fields: tuple[str, ...]) -> list[Column]:
    """Return the measures among `fields` for which at least one cell has a value."""
    return [ENTRIES[field] for field in fields if cells[field].notna().any()]


def plot_by_system(axis: Axes, cells: pd.DataFrame, column: Column, styles: LineStyles, bars: bool) -> None:
    """Plot one measure at one V: a row per system, with its standard error and, at the right, its value.

    Bars begin at zero. Without bars, or where they would hide a small value, points alone show the differences.
    """
    values, errors = cells[column.name] * column.scale, cells[f"{column.name}_se"] * column.scale
    bars, logarithmic = bars and values.max() < WIDE * values.min(), bars and values.max() >= WIDE * values.min() > 0
    for row, (label, value, error) in enumerate(zip(cells.label, values, errors, strict=True)):
        style = styles[label] | {"linestyle": ""}
        axis.errorbar(value, row, xerr=error if isfinite(error) else None, elinewidth=1, capsize=2, **style)
        if bars:
            axis.barh(row, value, height=0.16, color=style["color"], alpha=0.5)
        text = mean_and_error(value, digits=column.digits) if cells.seeds.iloc[row] else "×"
        axis.text(1.02, row, text, va="center", fontsize=7.5, transform=axis.get_yaxis_transform())
    axis.set(yticks=range(len(cells)), yticklabels=[wrapped(label, NAME_WIDTH) for label in cells.label])
    axis.set(title=column.heading_with_arrow, ylim=(len(cells) - 0.5, -0.5))
    axis.tick_params(axis="y", labelcolor=INK)
    if logarithmic:
        set_log_scale(axis, "x")
    else:
        axis.xaxis.set(major_locator=MaxNLocator(4), major_formatter=FuncFormatter(abbreviated))
    if bars:
        axis.set_xlim(left=0)


def figure_by_system(
    cells: pd.DataFrame, styles: LineStyles, fields: tuple[str, ...], title: str, how: str, bars: bool
) -> Figure | None:
    """Return three panels per row, with the systems in the order of their bits per byte; None with several V."""
    entries = measured(cells, fields)
    if not entries or cells.vocabulary_size.nunique() > 1:
        return None
    cells = cells.sort_values("bits_per_byte", kind="stable")
    shape, size = (ceil(len(entries) / 3), min(3, len(entries))), cells.vocabulary_size.iloc[0]
    lines = sum(wrapped(label, NAME_WIDTH).count("\n") + 1 for label in cells.label)
    figure, axes = new_figure(shape, 0.7 + NAME_HEIGHT * lines, f"{title}, V = {size:,}", how, sharey=True)
    for axis, column in zip(axes.flat, entries, strict=False):
        plot_by_system(axis, cells, column, styles, bars)
    for axis in axes.flat[len(entries) :]:
        axis.set_axis_off()
    return figure


def quality_by_system(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw quality at one V, sorted by bits per byte."""
    how = "↓ lower is better, ↑ higher is better. Grey: floors and limits. –|–: standard error. ×: did not finish."
    return figure_by_system(cells, styles, QUALITY_FIELDS, "Quality by system", how, bars=False)


def cost_by_system(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw cost at one V, sorted by bits per byte."""
    how = "Lower is better. Best bits per byte first. No bars: logarithmic. ×: did not finish. –: not measured."
    return figure_by_system(cells[cells.competes], styles, COST_FIELDS, "Cost by system", how, bars=True)
