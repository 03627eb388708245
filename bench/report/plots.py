"""Runs and cells of one corpus -> figures. One colour a system in all of them; what did not finish is a ×."""

import itertools
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.report.glossary import COST, QUALITY, Entry
from bench.report.run_table import curve, pareto

Looks = dict[str, dict[str, Any]]  # label -> how its line is drawn

INK, MUTED, GRID, PAPER = "#1b1b1f", "#6b6b76", "#dfdfe6", "#fefefe"  # the page swaps them for its own

COLOURS = {  # after Okabe and Ito: classifiers cool, regressors warm
    "softmax": "#0072b2", "sampled_softmax": "#56b4e9", "adaptive_softmax": "#009e73", "mse": "#d55e00",
    "cosine": "#e69f00", "gpt2": "#882255", "gpt2-scratch": "#cc79a7", "nce": "#332288", "infonce": "#b2182b",
    "vmf": "#5c2a00",
}  # fmt: skip

SPARE = ("#999933", "#44aa99", "#6a5acd", "#aa4499", "#6699cc", "#a0522d")  # for systems not named above

LINES, MARKERS = ("-", "--", ":", "-."), ("o", "s", "^", "D", "v", "P")

GREY_LINES = {"unigram": ":", "ngram": "--", "truth": "-."}

STYLE = {
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "savefig.facecolor": PAPER, "text.color": INK,
    "axes.edgecolor": MUTED, "axes.labelcolor": INK, "axes.titlecolor": INK, "xtick.color": MUTED,
    "ytick.color": MUTED, "grid.color": GRID, "grid.linewidth": 0.7, "axes.grid": True, "font.size": 9,
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7,
    "xtick.major.size": 0, "ytick.major.size": 0, "axes.titlesize": 10, "axes.titlelocation": "left",
    "axes.labelsize": 9, "legend.frameon": False, "lines.linewidth": 1.7, "lines.markersize": 5,
    "figure.constrained_layout.use": True, "figure.constrained_layout.hspace": 0.07,
    "figure.constrained_layout.wspace": 0.05, "svg.hashsalt": "bench", "text.parse_math": False,
}  # fmt: skip


def looks(cells: pd.DataFrame) -> Looks:
    """Colour by system, line and marker by variant; what does not compete is grey and broken. As the tables' order."""
    found: Looks = {label: {} for label in cells.label}
    spare = itertools.cycle(SPARE)
    for system, family in cells.groupby("system"):
        if not family.competes.any():
            grey = {"color": MUTED, "linestyle": GREY_LINES[system], "marker": ""}
            found |= dict.fromkeys(family.label, grey)
            continue
        colour = COLOURS.get(system) or next(spare)
        for i, label in enumerate(sorted(set(family.label))):
            found[label] = {"color": colour, "linestyle": LINES[i % 4], "marker": MARKERS[i % 6]}
    return found


def canvas(shape: tuple[int, int], cells: pd.DataFrame, title: str, how: str, **share: Any) -> Any:
    """A figure and its panels [rows, columns], the legend of `cells` beside them, below how to read them."""
    beside = 0.7 + 0.07 * cells.label.str.len().max()  # inches that the legend takes
    figure = Figure(figsize=(shape[1] * 3.5 + beside, shape[0] * 2.9 + 0.8))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(how, x=0.01, ha="left", fontsize=8.5, color=MUTED)
    handles = [Line2D([], [], label=label, **look) for label, look in looks(cells).items()]
    figure.legend(handles=handles, loc="outside right upper")
    return figure, figure.subplots(*shape, squeeze=False, **share)


def short(value: float, _position: int = 0) -> str:
    """An axis label: 0.05, 20, 5k, 2M, 3T."""
    power = next((power for power in (18, 15, 12, 9, 6, 3) if abs(value) >= 10**power), 0)
    return f"{value / 10**power:g}" + " kMGTPE"[power // 3].strip()


def log(axis: Axes, which: str, ticks: list[float] | None = None) -> None:
    """A log scale with plain numbers at `ticks`, or at as many as its span needs."""
    axis.set(**{f"{which}scale": "log"})
    scale = axis.xaxis if which == "x" else axis.yaxis
    low, high = scale.get_view_interval()
    steps = (1, 1.5, 2, 3, 4, 5, 7) if high < 12 * low else (1, 2, 5) if high < 300 * low else (1,)
    scale.set_major_locator(FixedLocator(ticks) if ticks else LogLocator(subs=steps, numticks=9))
    scale.set(major_formatter=FuncFormatter(short), minor_locator=NullLocator())


def chosen(sizes: pd.Series) -> list[int]:
    """At most four vocabulary sizes for small multiples, the smallest and the largest among them."""
    every = np.unique(sizes)
    return every[np.linspace(0, len(every) - 1, min(len(every), 4)).round().astype(int)].tolist()


def band(axis: Axes, x: Any, mean: Any, error: Any, look: dict[str, Any]) -> None:
    """A line in the band of its standard error."""
    axis.plot(x, mean, **look)
    if np.isfinite(error).any():
        axis.fill_between(x, mean - error, mean + error, color=look["color"], alpha=0.18, linewidth=0)


def over_sizes(axis: Axes, cells: pd.DataFrame, column: Entry) -> None:
    """A line a system against V with bars of the standard error; a × at the top for what did not finish."""
    look, bars = looks(cells), {"elinewidth": 1, "capsize": 2}
    for label, line in cells[cells[column.field].notna()].sort_values("vocabulary_size").groupby("label"):
        mean, error = line[column.field] * column.scale, line[f"{column.field}_se"].fillna(0) * column.scale
        axis.errorbar(line.vocabulary_size, mean, error, **bars, **look[label])
    place = {"xycoords": axis.get_xaxis_transform(), "textcoords": "offset points", "ha": "center"}
    for size, lost in cells[cells.failures.astype(bool)].groupby("vocabulary_size"):
        for i, label in enumerate(lost.label):
            axis.annotate("×", (size, 1), (-9 * i, -3), color=look[label]["color"], fontsize=13, **place)
    sizes = sorted(set(cells.vocabulary_size))
    axis.set_xlim(sizes[0] / 1.2, sizes[-1] * 1.2)  # no × stretches it
    log(axis, "x", sizes)
    axis.set(xlabel="vocabulary size V", title=column.heading)


def quality_vs_cost(runs: pd.DataFrame, cells: pd.DataFrame) -> Figure | None:
    """What a bit per byte costs, in time and in arithmetic."""
    floor = cells[cells.kind == "floor"].bits_per_byte.min()
    cells = cells[cells.competes & cells.bits_per_byte.notna() & (cells.train_seconds > 0)]
    if cells.empty:
        return None
    how = "Lower left is better; encoding left out. Numbers: V. Grey band: Pareto front. Dashed: best floor."
    figure, axes = canvas((1, 2), cells, "Quality against training cost", how, sharey=True)
    look, thin = looks(cells), {"marker": "", "linewidth": 0.8, "alpha": 0.4}
    for axis, field, name in zip(axes[0], ("train_seconds", "train_flops"), ("seconds", "FLOPs"), strict=True):
        points = cells[cells[field] > 0].sort_values("vocabulary_size")
        points = points.assign(leads=pareto(points[field].to_numpy(), points.bits_per_byte.to_numpy()))
        edge = points[points.leads].sort_values(field)
        axis.plot(edge[field], edge.bits_per_byte, color=GRID, linewidth=7, solid_capstyle="round", zorder=1)
        for label, line in points.groupby("label"):
            axis.plot(line[field], line.bits_per_byte, **look[label] | thin)
        for point in points.to_dict("records"):
            x, y, leads = point[field], point["bits_per_byte"], point["leads"]
            style = look[point["label"]] | {"linestyle": "", "elinewidth": 1, "alpha": 1 if leads else 0.35}
            axis.errorbar(x, y, point["bits_per_byte_se"], point[f"{field}_se"], **style)
        for (x, y), same in points.groupby([field, "bits_per_byte"]):  # one model, scored at several V, is one point
            ink = INK if same.leads.any() else MUTED
            names = ", ".join(map(short, same.vocabulary_size))
            axis.annotate(names, (x, y), (4, 4), textcoords="offset points", fontsize=7, color=ink)
        if np.isfinite(floor):
            axis.axhline(floor, color=MUTED, linestyle="--", linewidth=1)
        log(axis, "x")
        axis.set(xlabel=f"training {name}", ylabel="bits per byte" if axis is axes[0, 0] else None)
    return figure


def cost_vs_vocabulary(runs: pd.DataFrame, cells: pd.DataFrame) -> Figure | None:
    """How each cost grows with V."""
    cells = cells[cells.competes]
    if cells.empty:
        return None
    how = "Lower is better; a flat line does not pay for V. Both axes are logarithmic. ×: did not finish."
    figure, axes = canvas((2, 3), cells, "Cost as the vocabulary grows", how)
    for axis, column in zip(axes.flat, COST[3:], strict=True):  # those before hang on budget, encoder and trunk
        over_sizes(axis, cells, column)
        log(axis, "y")
    return figure


def quality_vs_vocabulary(runs: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """What V does to quality, and what calibration repairs."""
    how = "↓ lower is better, ↑ higher is better. Grey: floors and limits. Bars: standard error. ×: did not finish."
    figure, axes = canvas((1, 3), cells, "Quality as the vocabulary grows", how)
    axes[0, 1].sharey(axes[0, 2])
    fields = ("bits_per_byte", "accuracy_at_1", "calibrated_accuracy_at_1")
    for axis, column in zip(axes[0], (column for column in QUALITY if column.field in fields), strict=True):
        over_sizes(axis, cells, column)
    return figure


def accuracy_by_frequency(runs: pd.DataFrame, cells: pd.DataFrame) -> Figure | None:
    """Where the right answers are: at frequent words or at rare ones."""
    cells = cells[cells.accuracy_by_decile.notna()]
    if cells.empty:
        return None
    look, sizes = looks(cells), chosen(cells.vocabulary_size)
    how = "Higher is better. Tenths of the test words, most frequent first. Bands: standard error over seeds."
    figure, axes = canvas((1, len(sizes)), cells, "Accuracy@1 (%) by word frequency", how, sharey=True)
    for axis, size in zip(axes[0], sizes, strict=True):
        for cell in cells[cells.vocabulary_size == size].to_dict("records"):
            mean, error = cell["accuracy_by_decile"] * 100, cell["accuracy_by_decile_se"] * 100
            band(axis, np.arange(1, len(mean) + 1), mean, error, look[cell["label"]])
        axis.set(title=f"V = {size:,}", xlabel="tenth of the test words", xticks=range(1, 11))
    return figure


def learning_curves(runs: pd.DataFrame, cells: pd.DataFrame) -> Figure | None:
    """The way there, on validation: training losses of different heads do not compare."""
    runs = runs[runs.curve.astype(bool)]
    if runs.empty:
        return None
    cells, sizes = cells[cells.label.isin(runs.label)], chosen(runs.vocabulary_size)
    look, units = (
        looks(cells),
        {"words": "words seen", "seconds": "training seconds", "flops": "training FLOPs"},
    )
    how = "Lower is better. Bands: standard error over seeds. ×: did not finish."
    figure, axes = canvas(
        (3, len(sizes)), cells, "Learning curves: validation nats per word", how, sharey="col", sharex="row"
    )
    for (i, unit), (j, size) in itertools.product(enumerate(units), enumerate(sizes)):
        axis, here = axes[i, j], runs[runs.vocabulary_size == size]
        for label, cell in here.groupby("label"):
            mean = curve(cell)
            if unit in mean:
                band(
                    axis,
                    mean[unit],
                    mean.validation_nats,
                    mean.validation_nats_se,
                    look[label] | {"marker": ""},
                )
        for run in here[here.status != "ok"].to_dict("records"):
            rows = [row for row in run["curve"] if unit in row]
            cut = look[run["label"]] | {"linestyle": ":", "linewidth": 1, "marker": "x", "markevery": [-1]}
            axis.plot([row[unit] for row in rows], [row["validation_nats"] for row in rows], **cut)
        axis.xaxis.set(major_formatter=FuncFormatter(short), major_locator=MaxNLocator(5))
        axis.set(xlabel=units[unit], title=f"V = {size:,}" if i == 0 else None)
    return figure


FIGURES = (quality_vs_cost, cost_vs_vocabulary, quality_vs_vocabulary, accuracy_by_frequency, learning_curves)


def draw(runs: pd.DataFrame, cells: pd.DataFrame) -> dict[str, Figure]:
    """Every figure that these runs have data for, by name."""
    with matplotlib.rc_context(STYLE):
        drawn = {function.__name__: function(runs, cells) for function in FIGURES}
    return {name: figure for name, figure in drawn.items() if figure is not None}
