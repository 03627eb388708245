"""Figures of the cost ledgers of one setting: our heads in colour, baselines thin and grey, extrapolation dashed."""

import itertools
from math import ceil
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import optimize

from bench.cost.ledger import is_baseline
from bench.evaluation.metric_definition import Column
from bench.report.cost_glossary import COST_COLUMNS
from bench.report.cost_tables import median_of, name_of
from bench.report.plot_style import (
    LINES,
    MUTED,
    STYLE,
    LineStyles,
    add_legend,
    line_styles,
    mark_failures,
    new_figure,
    set_log_scale,
    wrapped,
)
from bench.report.scaling_laws import FARTHEST
from bench.report.scaling_tables import Laws, points

EXTRAPOLATED = {"linestyle": (0, (2, 2)), "linewidth": 1, "marker": ""}

INDEX_LINES = ("--", ":", "-.")

NAME_DISTANCE = 0.055  # least distance between two names beside a panel, as a share of the panel's height

LONGEST_NAME = 18  # characters; a longer name would take half the panel's width, so a number stands for the name

LineEnd = tuple[str, float, float, str]  # a line's name, its last V and value, its colour


def contender_styles(frame: pd.DataFrame) -> LineStyles:
    """Return a style per contender: heads look as in all other figures, baselines are grey with different dashes."""
    names = list(dict.fromkeys(frame.contender))
    heads = sorted(name for name in names if not is_baseline(name))
    styles = line_styles(pd.DataFrame({"system": heads, "label": heads, "competes": True}))
    styles = {name: style | {"markersize": 4} for name, style in styles.items()}
    grey, dashes = {"color": MUTED, "linewidth": 0.9, "marker": ""}, itertools.cycle(LINES)
    return styles | {name: grey | {"linestyle": next(dashes)} for name in names if name not in styles}


def numbered(frame: pd.DataFrame) -> dict[str, str]:
    """Return a number for each contender's name that is too long to be written beside a line."""
    names = [name_of(contender) for contender in dict.fromkeys(frame.contender)]
    long = [name for name in names if len(name) > LONGEST_NAME]
    return {name: str(i) for i, name in enumerate(long, 1)}


def new_panels(count: int, frame: pd.DataFrame, title: str, how: str) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, two per row; the legend explains the numbers that replace long names."""
    numbers, styles = numbered(frame), contender_styles(frame)
    handles = [
        Line2D([], [], **styles[contender] | {"label": f"{numbers[name_of(contender)]}  {name_of(contender)}"})
        for contender in dict.fromkeys(frame.contender)
        if name_of(contender) in numbers
    ]
    shape = (ceil(count / 2), min(2, count))
    if shape[0] * shape[1] == count:
        figure, axes = new_figure(shape, 2.9, title, how, handles)
    else:  # the empty cell of the grid holds the legend
        figure, axes = new_figure(shape, 2.9, title, "")
        axes.flat[-1].set_axis_off()
        add_legend(axes.flat[-1], handles, wrapped(how, 56), loc="upper left", labelspacing=0.7)
    return figure, list(axes.flat[:count])


def plot_cost(axis: Axes, frame: pd.DataFrame, column: Column, laws: Laws) -> None:
    """Plot one cost against V on two logarithmic axes, with each line named at its end."""
    ends = [end for name in contender_styles(frame) if (end := plot_contender(axis, frame, column, name, laws))]
    set_log_scale(axis, "y")
    label_panel(axis, frame, ends, column.heading_with_arrow)
    mark_missing(axis, frame, column)


def plot_contender(axis: Axes, frame: pd.DataFrame, column: Column, contender: str, laws: Laws) -> LineEnd | None:
    """Plot one contender's cost inside the band of its rounds and, beyond the largest measured V, its fitted law."""
    here, style = points(frame, contender, column.name), contender_styles(frame)[contender]
    if here.empty:
        return None
    sizes, values = here.vocabulary_size, here[column.name].map(median_of) * column.scale
    axis.plot(sizes, values, **style | ({"marker": style["marker"] or "."} if len(here) == 1 else {}))
    if isinstance(here[column.name].iloc[0], list) and style["marker"]:
        low, _, high = np.array(here[column.name].tolist()).T * column.scale
        axis.fill_between(sizes, low, high, color=style["color"], alpha=0.15, linewidth=0)
    law = laws.get((contender, column.name))
    if law is None:
        return name_of(contender), sizes.iloc[-1], values.iloc[-1], style["color"]
    beyond = np.geomspace(law.largest, FARTHEST, 30)
    axis.plot(beyond, law.at(beyond), **style | EXTRAPOLATED)
    return name_of(contender), FARTHEST, float(law.at(FARTHEST)), style["color"]


def label_panel(axis: Axes, frame: pd.DataFrame, ends: list[LineEnd], title: str) -> None:
    """Label the x axis with powers of ten and write the names beside the lines."""
    sizes = sorted(set(frame.vocabulary_size))
    decades = 10.0 ** np.arange(np.ceil(np.log10(sizes[0])), np.log10(max(size for _, size, *_ in ends)) + 0.01)
    set_log_scale(axis, "x", decades.tolist() if len(decades) > 1 else sizes)
    axis.set(xlabel="vocabulary size V", title=title)
    numbers = numbered(frame)
    write_names(axis, [(numbers.get(name, name), *end) for name, *end in ends])


def write_names(axis: Axes, ends: list[LineEnd]) -> None:
    """Write each line's name beside the panel, as near to the line's end as the other names leave room."""
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    ends = sorted(ends, key=lambda end: end[2])
    tips = np.array([axis.transLimits.transform(axis.transScale.transform((x, y))) for _, x, y, _ in ends])  # [N, 2]
    steps = NAME_DISTANCE * np.arange(len(ends))
    heights = optimize.isotonic_regression(tips[:, 1] - steps).x + steps
    heights = np.minimum(heights, 1 - steps[::-1])
    leader = {"linewidth": 0.6, "linestyle": ":", "clip_on": False, "transform": axis.transAxes, "marker": ""}
    for (name, _, _, colour), (x, y), height in zip(ends, tips, heights, strict=True):
        axis.plot([x, 1, 1.05], [y, y, height], color=colour, **leader)
        axis.text(1.06, height, name, color=colour, fontsize=8, va="center", transform=axis.transAxes)


def mark_missing(axis: Axes, frame: pd.DataFrame, column: Column) -> None:
    """Draw a × at each V where memory, time or a failure ended a contender that was measured at another V."""
    styles, missing = contender_styles(frame), frame[frame.status.isin(["oom", "slow", "failed"])]
    missing = missing[missing[column.name].isna()]
    missing = missing[missing.contender.isin(frame.contender[frame[column.name].notna()])]
    for size, here in missing.groupby("vocabulary_size"):
        mark_failures(axis, size, list(dict.fromkeys(styles[contender]["color"] for contender in here.contender)))


def cost_figure(frame: pd.DataFrame, laws: Laws, fields: tuple[str, ...], title: str, how: str) -> Figure | None:
    """Return a panel per cost that was measured; None without any."""
    measured = [COST_COLUMNS[field] for field in fields if frame[field].notna().any()]
    if not measured:
        return None
    has_value = frame[[column.name for column in measured]].notna().any(axis=1)
    frame = frame[frame.contender.isin(frame.contender[has_value])]
    figure, axes = new_panels(len(measured), frame, title, how)
    for axis, column in zip(axes, measured, strict=True):
        plot_cost(axis, frame, column, laws)
    return figure


HOW = "Lower is better; logarithmic axes. Grey: other libraries. ×: out of memory, too slow, or failed. "

BEYOND = "Bands: p20 to p80 of the rounds. Dashed after the last point: extrapolated by the fitted law."


def cost_of_training(frame: pd.DataFrame, laws: Laws) -> Figure | None:
    """Draw the time of a training step and of its parts."""
    fields = ("training_ms", "step_ms", "adam_ms")
    return cost_figure(frame, laws, fields, "A step of training as V grows", HOW + BEYOND)


def cost_of_decoding(frame: pd.DataFrame, laws: Laws) -> Figure | None:
    """Draw the time to find the ten best words among all V."""
    fields = ("decode_1_ms", "decode_256_ms", "rank_256_ms")
    return cost_figure(frame, laws, fields, "Exact decoding as V grows", HOW + BEYOND)


def cost_in_memory(frame: pd.DataFrame, laws: Laws) -> Figure | None:
    """Draw the memory of a training step."""
    return cost_figure(frame, laws, ("total_mib", "peak_mib", "weights_mib"), "Memory of training as V grows", HOW)


def approximate_decoding(frame: pd.DataFrame, laws: Laws) -> Figure | None:
    """Draw the time of indexes beside that of exact search, and the share of answers that they find."""
    rows = [
        {"contender": row.contender, "vocabulary_size": row.vocabulary_size, **index}
        for _, row in frame.iterrows()
        for index in row.approximate or []
    ]
    if not any("decode_1_ms" in row for row in rows):  # none, or none that was built: without faiss, say
        return None
    indexes = pd.DataFrame(rows).sort_values("vocabulary_size")
    exact = frame[frame.contender.isin(indexes.contender)]
    how = "Solid: exact search. Broken: an index, which finds a share of the exact top ten. Times: logarithmic."
    figure, axes = new_panels(3, exact, "Approximate decoding as V grows", how)
    headings = {"decode_1_ms": "ms, 1 query ↓", "decode_256_ms": "ms, 256 queries ↓", "recall_at_10": "recall@10 % ↑"}
    for axis, (field, heading) in zip(axes, headings.items(), strict=True):
        dashes = dict(zip(sorted(set(indexes["index"])), itertools.cycle(INDEX_LINES), strict=False))
        ends = [
            plot_index(axis, here, field, contender_styles(exact)[contender] | {"linestyle": dashes[index]})
            for (contender, index), here in indexes.groupby(["contender", "index"])
        ]
        if field != "recall_at_10":
            names = dict.fromkeys(exact.contender)
            ends += [plot_contender(axis, exact, COST_COLUMNS[field], name, {}) for name in names]
            set_log_scale(axis, "y")
        label_panel(axis, exact, [end for end in ends if end], heading)
    return figure


def plot_index(axis: Axes, here: pd.DataFrame, field: str, style: dict[str, Any]) -> LineEnd | None:
    """Plot the time or the recall of one index over one contender's vectors."""
    here = here[here[field].notna()]
    if here.empty:
        return None
    values = here[field].map(median_of) * (100 if field == "recall_at_10" else 1)
    axis.plot(here.vocabulary_size, values, **style | {"linewidth": 1.1, "markersize": 3})
    last = here.iloc[-1]
    return f"{name_of(last.contender)}, {last['index']}", last.vocabulary_size, values.iloc[-1], style["color"]


FIGURES = (cost_of_training, cost_of_decoding, cost_in_memory, approximate_decoding)


def draw(frame: pd.DataFrame, laws: Laws) -> dict[str, Figure]:
    """Return by name every figure for which these ledgers have data."""
    with matplotlib.rc_context(STYLE):
        figures = {function.__name__: function(frame, laws) for function in FIGURES}
    return {name: figure for name, figure in figures.items() if figure is not None}
