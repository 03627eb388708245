"""Ledgers of one setting -> figures. Heads in their colours, peers thin and grey, laws beyond the data dashed."""

import itertools
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import optimize

from bench.report.cost_glossary import EVERY
from bench.report.cost_tables import PEER, middle, name_of
from bench.report.glossary import Entry
from bench.report.plots import LINES, MUTED, STYLE, log, looks
from bench.report.scaling_laws import FARTHEST
from bench.report.scaling_tables import Fitted, points

DASHED = {"linestyle": (0, (2, 2)), "linewidth": 1, "marker": ""}

INDEX_LINES = ("--", ":", "-.")

NAME_HEIGHT = 0.048  # of a panel's

End = tuple[str, float, float, str]  # a line's name, its last V and value, its colour


def appearances(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The heads as in all other figures; peers grey, told apart by how their thin lines are broken."""
    names = list(dict.fromkeys(frame.contender))
    heads = sorted(name for name in names if not name.startswith(PEER))
    found = looks(pd.DataFrame({"system": heads, "label": heads, "competes": True}))
    grey = {"color": MUTED, "linewidth": 0.9, "marker": ""}
    broken = itertools.cycle(LINES)
    return found | {name: grey | {"linestyle": next(broken)} for name in names if name not in found}


def canvas(count: int, title: str, how: str) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(count * 4.7, 4.6))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(how, x=0.01, ha="left", fontsize=8.5, color=MUTED)
    return figure, figure.subplots(1, count, squeeze=False)[0]


def against_size(axis: Axes, frame: pd.DataFrame, entry: Entry, found: Fitted) -> None:
    """One cost against V on two logarithmic axes, each line named at its end."""
    ends = [end for name in appearances(frame) if (end := line(axis, frame, entry, name, found))]
    log(axis, "y")
    finish(axis, frame, ends, entry.heading)
    lost(axis, frame, entry)


def line(axis: Axes, frame: pd.DataFrame, entry: Entry, contender: str, found: Fitted) -> End | None:
    """One contender's cost in the band of its rounds, and beyond the largest V its law."""
    here, look = points(frame, contender, entry.field), appearances(frame)[contender]
    if here.empty:
        return None
    sizes, values = here.vocabulary_size, here[entry.field].map(middle) * entry.scale
    axis.plot(sizes, values, **look | ({"marker": "."} if len(here) == 1 else {}))
    if isinstance(here[entry.field].iloc[0], list) and look["marker"]:
        low, _, high = np.array(here[entry.field].tolist()).T * entry.scale
        axis.fill_between(sizes, low, high, color=look["color"], alpha=0.15, linewidth=0)
    law = found.get((contender, entry.field))
    if law is None:
        return name_of(contender), sizes.iloc[-1], values.iloc[-1], look["color"]
    beyond = np.geomspace(law.largest, FARTHEST, 30)
    axis.plot(beyond, law.at(beyond), **look | DASHED)
    return name_of(contender), FARTHEST, float(law.at(FARTHEST)), look["color"]


def finish(axis: Axes, frame: pd.DataFrame, ends: list[End], title: str) -> None:
    """Decades of V below, names beside the lines."""
    sizes = sorted(set(frame.vocabulary_size))
    decades = 10.0 ** np.arange(np.ceil(np.log10(sizes[0])), np.log10(max(size for _, size, *_ in ends)) + 0.01)
    log(axis, "x", decades.tolist() if len(decades) > 1 else sizes)
    axis.set(xlabel="vocabulary size V", title=title)
    name_lines(axis, ends)


def name_lines(axis: Axes, ends: list[End]) -> None:
    """Each line's name beside the panel, at the height of its end or as near as the other names leave room."""
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    ends = sorted(ends, key=lambda end: end[2])
    tips = np.array([axis.transLimits.transform(axis.transScale.transform((x, y))) for _, x, y, _ in ends])  # [N, 2]
    steps = NAME_HEIGHT * np.arange(len(ends))
    heights = optimize.isotonic_regression(tips[:, 1] - steps).x + steps
    heights = np.minimum(heights, 1 - steps[::-1])
    for (label, _, _, colour), (x, y), height in zip(ends, tips, heights, strict=True):
        thin = {
            "color": colour,
            "linewidth": 0.6,
            "linestyle": ":",
            "clip_on": False,
            "transform": axis.transAxes,
            "marker": "",
        }
        axis.plot([x, 1, 1.05], [y, y, height], **thin)
        axis.text(1.06, height, label, color=colour, fontsize=8, va="center", transform=axis.transAxes)


def lost(axis: Axes, frame: pd.DataFrame, entry: Entry) -> None:
    """A × at the top, one a colour, where memory, time or the machine ended what was measured at other V."""
    place = {"xycoords": axis.get_xaxis_transform(), "textcoords": "offset points", "ha": "center"}
    look, gone = appearances(frame), frame[frame.status.isin(["oom", "slow", "failed"]) & frame[entry.field].isna()]
    gone = gone[gone.contender.isin(frame.contender[frame[entry.field].notna()])]
    for size, here in gone.groupby("vocabulary_size"):
        for i, colour in enumerate(dict.fromkeys(look[contender]["color"] for contender in here.contender)):
            axis.annotate("×", (size, 1), (-9 * i, -3), color=colour, fontsize=13, **place)


def measured(frame: pd.DataFrame, fields: tuple[str, ...]) -> list[Entry]:
    """The columns among `fields` that anybody was measured on."""
    named = {entry.field: entry for entry in EVERY}
    return [named[field] for field in fields if frame[field].notna().any()]


def panels(frame: pd.DataFrame, found: Fitted, fields: tuple[str, ...], title: str, how: str) -> Figure | None:
    columns = measured(frame, fields)
    if not columns:
        return None
    figure, axes = canvas(len(columns), title, how)
    for axis, entry in zip(axes, columns, strict=True):
        against_size(axis, frame, entry, found)
    return figure


READ = (
    "Lower is better; logarithmic axes. Grey: other libraries. Dots lead to names. ×: no memory, too slow, or failed. "
)

BEYOND = "Bands: p20 to p80. Dashed: beyond what was measured, by the fitted law."


def cost_of_training(frame: pd.DataFrame, found: Fitted) -> Figure | None:
    """What a step takes, and of what it is made."""
    return panels(frame, found, ("training_ms", "step_ms", "adam_ms"), "A step of training as V grows", READ + BEYOND)


def cost_of_decoding(frame: pd.DataFrame, found: Fitted) -> Figure | None:
    """What the ten best words take, among all V."""
    fields = ("decode_1_ms", "decode_256_ms", "rank_256_ms")
    return panels(frame, found, fields, "Exact decoding as V grows", READ + BEYOND)


def cost_in_memory(frame: pd.DataFrame, found: Fitted) -> Figure | None:
    """What must fit the machine."""
    fields = ("total_mib", "peak_mib", "weights_mib")
    return panels(frame, found, fields, "Memory of training as V grows", READ)


def approximate_decoding(frame: pd.DataFrame, found: Fitted) -> Figure | None:
    """What an index saves over exact search, and what it misses."""
    rows = [
        {"contender": row.contender, "vocabulary_size": row.vocabulary_size, **each}
        for _, row in frame.iterrows()
        for each in row.approximate or []
    ]
    if not rows:
        return None
    indexes = pd.DataFrame(rows).sort_values("vocabulary_size")
    exact = frame[frame.contender.isin(indexes.contender)]
    how = "Solid: exact search. Broken: an index, which finds a share of the exact top ten. Times: logarithmic."
    figure, axes = canvas(3, "Approximate decoding as V grows", how)
    fields = {"decode_1_ms": "ms, 1 query ↓", "decode_256_ms": "ms, 256 queries ↓", "recall_at_10": "recall@10 % ↑"}
    for axis, (field, title) in zip(axes, fields.items(), strict=True):
        broken = dict(zip(sorted(set(indexes["index"])), itertools.cycle(INDEX_LINES), strict=False))
        ends = [
            searched(axis, here, field, appearances(exact)[contender] | {"linestyle": broken[index]})
            for (contender, index), here in indexes.groupby(["contender", "index"])
        ]
        if field != "recall_at_10":
            entry = next(entry for entry in EVERY if entry.field == field)
            ends += [line(axis, exact, entry, name, {}) for name in dict.fromkeys(exact.contender)]
            log(axis, "y")
        finish(axis, exact, [end for end in ends if end], title)
    return figure


def searched(axis: Axes, here: pd.DataFrame, field: str, look: dict[str, Any]) -> End | None:
    """What one index of one contender's vectors takes or finds."""
    here = here[here[field].notna()]
    if here.empty:
        return None
    values = here[field].map(middle) * (100 if field == "recall_at_10" else 1)
    axis.plot(here.vocabulary_size, values, **look | {"linewidth": 1.1, "markersize": 3})
    last = here.iloc[-1]
    return f"{name_of(last.contender)}, {last['index']}", last.vocabulary_size, values.iloc[-1], look["color"]


FIGURES = (cost_of_training, cost_of_decoding, cost_in_memory, approximate_decoding)


def draw(frame: pd.DataFrame, found: Fitted) -> dict[str, Figure]:
    """Every figure that these ledgers have data for, by name."""
    with matplotlib.rc_context(STYLE):
        drawn = {function.__name__: function(frame, found) for function in FIGURES}
    return {name: figure for name, figure in drawn.items() if figure is not None}
