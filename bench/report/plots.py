"""Figures of the runs of one corpus and budget. A system looks alike in all of them; × is a run that did not finish."""

import itertools
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.evaluation.metric_definition import Column
from bench.report import run_table
from bench.report.diagnosis_plots import accuracy_lost
from bench.report.glossary import COLUMNS
from bench.report.origins import with_times_of_one_origin
from bench.report.plot_style import (
    BACKGROUND,
    GRID,
    HOW,
    MUTED,
    STYLE,
    LineStyles,
    abbreviated,
    draw_lines,
    handles_of,
    line_styles,
    mark_failures,
    new_figure,
    set_log_scale,
    set_title,
)
from bench.report.plots_by_system import COST_FIELDS, QUALITY_FIELDS, cost_by_system, quality_by_system
from bench.report.record_facts import PRETRAINED
from bench.report.run_table import curve, pareto

CURVE_UNITS = {"words": "words seen", "seconds": "training seconds", "flops": "training FLOPs"}


def panel_sizes(sizes: pd.Series) -> list[int]:
    """Return at most four vocabulary sizes for small multiples, the smallest and the largest among them."""
    every = np.unique(sizes)
    return every[np.linspace(0, len(every) - 1, min(len(every), 4)).round().astype(int)].tolist()


def plot_with_band(axis: Axes, x: Any, mean: Any, error: Any, style: dict[str, Any]) -> None:
    """Plot a line inside the band of its standard error."""
    axis.plot(x, mean, **style)
    if np.isfinite(error).any():
        axis.fill_between(x, mean - error, mean + error, color=style["color"], alpha=0.18, linewidth=0)


def plot_against_vocabulary(axis: Axes, cells: pd.DataFrame, column: Column, styles: LineStyles) -> None:
    """Plot one measure against V: a line per system, with bars of the standard error."""
    draw_lines(axis, cells.sort_values("vocabulary_size"), "vocabulary_size", column, styles)
    for size, failed in cells[cells.failures.astype(bool)].groupby("vocabulary_size"):
        mark_failures(axis, size, [styles[label]["color"] for label in failed.label])
    sizes = sorted(set(cells.vocabulary_size))
    axis.set_xlim(sizes[0] / 1.2, sizes[-1] * 1.2)  # a × does not stretch the axis
    set_log_scale(axis, "x", sizes)
    axis.set(xlabel="vocabulary size V", title=column.heading_with_arrow)


def quality_vs_cost(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw bits per byte against training time and training FLOPs; None if nothing was trained."""
    floors = cells[(cells.kind == "floor") & cells.bits_per_byte.notna()].sort_values("bits_per_byte")
    is_measured = (cells[["train_seconds", "train_flops"]] > 0).any(axis=1)
    cells = cells[cells.competes & cells.bits_per_byte.notna() & is_measured]
    if cells.empty:
        return None
    sizes = sorted(set(cells.vocabulary_size))
    diameters = dict(zip(sizes, np.linspace(4, 9, len(sizes)) if len(sizes) > 1 else (6.5,), strict=True))  # points
    handles = handles_of(styles, cells.label)
    handles.append(Line2D([], [], color=GRID, linewidth=7, label="Pareto front"))
    if len(floors):
        best = f"{floors.label.iloc[0]} (floor)"
        handles.append(Line2D([], [], color=MUTED, linestyle="--", linewidth=1, label=best))
    if len(sizes) > 1:
        dot = {"color": MUTED, "marker": "o", "linestyle": ""}
        handles += [
            Line2D([], [], markersize=diameter, label=f"V = {abbreviated(size)}", **dot)
            for size, diameter in diameters.items()
        ]
    how = "Lower left is better. Training time and FLOPs without the encoder's. " + (
        "The larger the marker, the larger V." if len(sizes) > 1 else f"V = {sizes[0]:,}."
    )
    units = {"train_seconds": "seconds", "train_flops": "FLOPs"}
    measured = [field for field in units if (cells[field] > 0).any()]  # times of several origins do not compare
    figure, axes = new_figure((1, len(measured)), 3.1, "Quality against training cost", how, handles, sharey=True)
    thin = {"marker": "", "linewidth": 0.9, "alpha": 0.6}
    for axis, field in zip(axes[0], measured, strict=True):
        points = cells[cells[field] > 0].sort_values("vocabulary_size", ascending=False)  # small markers on top
        front = points[pareto(points[field].to_numpy(), points.bits_per_byte.to_numpy())].sort_values(field)
        axis.plot(front[field], front.bits_per_byte, color=GRID, linewidth=7, solid_capstyle="round", zorder=1)
        for label, line in points.groupby("label"):
            axis.plot(line[field], line.bits_per_byte, **styles[label] | thin)
        for point in points.drop_duplicates(["label", field, "bits_per_byte"]).to_dict("records"):
            style = styles[point["label"]] | {"linestyle": "", "elinewidth": 1}
            style |= {"markersize": diameters[point["vocabulary_size"]], "markeredgewidth": 1}
            if style["fillstyle"] == "full":
                style |= {"markeredgecolor": BACKGROUND, "markeredgewidth": 0.6}  # parts markers that overlap
            axis.errorbar(
                point[field], point["bits_per_byte"], point["bits_per_byte_se"], point[f"{field}_se"], **style
            )
        if len(floors):
            axis.axhline(floors.bits_per_byte.iloc[0], color=MUTED, linestyle="--", linewidth=1)
        set_log_scale(axis, "x")
        axis.set(xlabel=f"training {units[field]}", ylabel="bits per byte" if axis is axes[0, 0] else None)
    return figure


def cost_vs_vocabulary(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw the growth of each cost with V; None with one V."""
    cells = cells[cells.competes]
    if cells.vocabulary_size.nunique() < 2:
        return None
    how = "Lower is better. Both axes are logarithmic. ×: did not finish."
    handles = handles_of(styles, cells.label)
    figure, axes = new_figure((-(-len(COST_FIELDS) // 3), 3), 2.2, "Cost as the vocabulary grows", how, handles)
    for axis, field in zip(axes.flat, COST_FIELDS, strict=False):
        plot_against_vocabulary(axis, cells, COLUMNS[field], styles)
        set_log_scale(axis, "y")
    for axis in axes.flat[len(COST_FIELDS) :]:
        axis.remove()
    return figure


def quality_vs_vocabulary(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw quality against V, before and after calibration; None with one V.

    Pre-trained models are left out: their distance to all others would hide the distances between those.
    """
    cells = cells[cells.kind != PRETRAINED]
    if cells.vocabulary_size.nunique() < 2:
        return None
    how = f"{HOW} –|–: standard error. ×: did not finish."
    handles = handles_of(styles, cells.label)
    figure, axes = new_figure((1, 3), 2.8, "Quality as the vocabulary grows", how, handles)
    axes[0, 1].sharey(axes[0, 2])
    for axis, field in zip(axes[0], QUALITY_FIELDS, strict=True):
        plot_against_vocabulary(axis, cells, COLUMNS[field], styles)
    return figure


def accuracy_by_frequency(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw accuracy at frequent and at rare words; None if not measured."""
    cells = cells[cells.accuracy_by_decile.notna()]
    if cells.empty:
        return None
    sizes = panel_sizes(cells.vocabulary_size)
    how = "Higher is better. Tenths of the test words, most frequent first. Bands: standard error over seeds."
    title = "Accuracy@1 (%) by word frequency"
    handles = handles_of(styles, cells.label)
    figure, axes = new_figure((1, len(sizes)), 2.9, title, how, handles, sharey=True)
    for axis, size in zip(axes[0], sizes, strict=True):
        for cell in cells[cells.vocabulary_size == size].to_dict("records"):
            mean, error = cell["accuracy_by_decile"] * 100, cell["accuracy_by_decile_se"] * 100
            plot_with_band(axis, np.arange(1, len(mean) + 1), mean, error, styles[cell["label"]] | {"markersize": 3.5})
        axis.set(title=f"V = {size:,}", xlabel="tenth of the test words", xticks=range(1, 11))
    return figure


def learning_curves(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw validation nats during training, since training losses of different heads do not compare."""
    runs = runs[runs.curve.astype(bool)]
    if runs.empty:
        return None
    cells, sizes = cells[cells.label.isin(runs.label)], panel_sizes(runs.vocabulary_size)
    handles = handles_of(styles, cells.label)
    how = "Lower is better. Bands: standard error over seeds. ×: did not finish."
    title, shape = "Learning curves: validation nats per word", (len(sizes), len(CURVE_UNITS))
    figure, axes = new_figure(shape, 2.2, title, how, handles, sharex="col", sharey="row")
    for (i, size), (j, unit) in itertools.product(enumerate(sizes), enumerate(CURVE_UNITS)):
        axis, here = axes[i, j], runs[runs.vocabulary_size == size]
        for label, cell in here.groupby("label"):
            mean = curve(cell)
            if unit in mean:
                style = styles[label] | {"markevery": 0.25, "linewidth": 1.3}
                plot_with_band(axis, mean[unit], mean.validation_nats, mean.validation_nats_se, style)
        for run in here[here.status != "ok"].to_dict("records"):
            rows = [row for row in run["curve"] if unit in row]
            style = {"color": styles[run["label"]]["color"], "linestyle": ":", "linewidth": 1}
            style |= {"marker": "x", "markevery": [-1]}
            axis.plot([row[unit] for row in rows], [row["validation_nats"] for row in rows], **style)
        axis.xaxis.set(major_formatter=FuncFormatter(abbreviated), major_locator=MaxNLocator(5))
        axis.set(xlabel=CURVE_UNITS[unit] if i == len(sizes) - 1 else None)
        axis.set(ylabel=f"V = {size:,}" if j == 0 else None)
    figure.align_ylabels()
    return figure


FIGURES = (
    quality_vs_cost, quality_vs_vocabulary, cost_vs_vocabulary, quality_by_system, cost_by_system,
    accuracy_by_frequency, learning_curves, accuracy_lost,
)  # fmt: skip

TIMED = (quality_vs_cost, cost_vs_vocabulary, cost_by_system, learning_curves)  # figures that compare times


def draw(runs: pd.DataFrame, cells: pd.DataFrame) -> dict[str, Figure]:
    """Return by name every figure for which these runs have data.

    Times of different machines or commits cannot be compared: of several origins, figures show the times of the first
    in the order of `bench.report.origins.origins`, and their titles name this origin.
    """
    runs, origin = with_times_of_one_origin(runs)
    if origin:
        cells = run_table.cells(runs)
    with matplotlib.rc_context(STYLE):
        styles = line_styles(cells)  # once: a system looks alike in a figure that leaves other systems out
        drawn = {function: function(runs, cells, styles) for function in FIGURES}
        figures = {function: figure for function, figure in drawn.items() if figure is not None}
        for function, figure in figures.items() if origin else ():
            if function in TIMED:
                set_title(figure, f"{figure.get_suptitle()} (times: {origin})")
    return {function.__name__: figure for function, figure in figures.items()}
