"""The style that all figures share: colour, marker and line per system, the frame around the panels, the axes."""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from bench.evaluation.metric_definition import Column

LineStyles = dict[str, dict[str, Any]]  # label -> keyword arguments of its Line2D

INK, MUTED, GRID, BACKGROUND = "#1b1b1f", "#6b6b76", "#dfdfe6", "#fefefe"  # the page replaces them by CSS variables

WIDTH = 8.85  # inches: 850 px at 96 px per inch, the width of a README on GitHub

CHARACTER = 0.062  # inches: mean width of a character in a legend

SAMPLE = 0.62  # inches: the line before a name in a legend, and the gap after the name

LONGEST_TITLE = 85  # characters

LONGEST_LINE = 60  # characters; a longer label is wrapped

Appearance = tuple[str, Any]  # a system's colour and marker

PUBLISHED = {  # systems in results/reference, after Okabe and Ito; each other system gets an appearance of its own
    "softmax": ("#0072b2", "o"), "sampled_softmax": ("#56b4e9", "s"), "adaptive_softmax": ("#009e73", "^"),
    "mse": ("#d55e00", "v"), "cosine": ("#e69f00", "D"), "gpt2": ("#882255", "P"), "gpt2-scratch": ("#cc79a7", "X"),
    "nce": ("#332288", "<"), "infonce": ("#b2182b", "p"), "vmf": ("#5c2a00", ">"),
}  # fmt: skip

SPARE = (  # the first six other systems, in alphabetical order
    ("#999933", "h"), ("#44aa99", "d"), ("#6a5acd", "8"), ("#aa4499", "H"), ("#6699cc", "*"), ("#a0522d", "."),
)  # fmt: skip

GOLDEN_RATIO = (5**0.5 - 1) / 2  # step of the hue, as a share of the circle: no hue repeats

HOW = "↓ lower is better, ↑ higher is better. Grey: count models, true distribution, pre-trained."  # to read a figure

LINES = ("-", "--", ":", "-.", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)))  # one per variant of a system

FILLS = ("full", "none", "left", "top", "right", "bottom")

FLOOR_LINES = ("--", ":", "-.")  # systems that do not compete: grey

STYLE = {
    "figure.facecolor": BACKGROUND, "axes.facecolor": BACKGROUND, "savefig.facecolor": BACKGROUND, "text.color": INK,
    "axes.edgecolor": MUTED, "axes.labelcolor": INK, "axes.titlecolor": INK, "xtick.color": MUTED,
    "ytick.color": MUTED, "grid.color": GRID, "grid.linewidth": 0.7, "axes.grid": True, "font.size": 8.5,
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7,
    "xtick.major.size": 0, "ytick.major.size": 0, "axes.titlesize": 9.5, "axes.titlelocation": "left",
    "axes.labelsize": 8.5, "legend.frameon": False, "legend.fontsize": 8.5, "legend.title_fontsize": 8.5,
    "lines.linewidth": 1.6, "lines.markersize": 5.5, "figure.constrained_layout.use": True,
    "figure.constrained_layout.hspace": 0.07, "figure.constrained_layout.wspace": 0.05, "svg.hashsalt": "bench",
    "text.parse_math": False,
}  # fmt: skip


def line_styles(cells: pd.DataFrame) -> LineStyles:
    """Return colour, marker and line per system, line and marker fill per variant: figures can be read in grey.

    Systems that do not compete are grey. Labels keep the order of the cells.
    """
    styles: LineStyles = {label: {} for label in cells.label}
    spare, floors = spare_appearances(), itertools.cycle(FLOOR_LINES)
    first_line = {system: i for i, system in enumerate(sorted(set(cells.system[cells.competes]), key=listed_first))}
    for system, variants in cells.groupby("system"):
        if not variants.competes.any():
            for label in sorted(set(variants.label)):
                styles[label] = {"color": MUTED, "linestyle": next(floors), "marker": ".", "linewidth": 1.1}
            continue
        colour, marker = PUBLISHED[system] if system in PUBLISHED else next(spare)
        for i, label in enumerate(sorted(set(variants.label))):
            line, fill = LINES[(first_line[system] + i) % len(LINES)], FILLS[i % len(FILLS)]
            styles[label] = {
                "color": colour, "marker": marker, "linestyle": line, "fillstyle": fill,
                "markerfacecoloralt": BACKGROUND,
            }  # fmt: skip
    return styles


def listed_first(system: str) -> tuple[int, str]:
    """Return the sorting key of a system: its place in `PUBLISHED`, then others by name."""
    return ([*PUBLISHED].index(system) if system in PUBLISHED else len(PUBLISHED), system)


def spare_appearances() -> Iterator[Appearance]:
    """Yield colours and markers without end, none of which repeats: after `SPARE`, stars of more points."""
    yield from SPARE
    for points in itertools.count(4):
        colour = hsv_to_rgb((GOLDEN_RATIO * points % 1, 0.7, 0.65))
        yield to_hex(colour), (points, 1, 0)


def new_figure(
    shape: tuple[int, int], panel_height: float, title: str, how: str, handles: Sequence[Line2D] = (), **share: Any
) -> tuple[Figure, np.ndarray]:
    """Return a figure as wide as a README and its panels [rows, columns].

    Below the panels are the text `how`, which says how to read the figure, and a legend of the `handles`; neither if
    `how` is empty.
    """
    for handle in handles:
        handle.set_label(wrapped(str(handle.get_label())))
    columns, how = legend_columns([str(handle.get_label()) for handle in handles]), wrapped(how, 130)
    lines = sum(str(handle.get_label()).count("\n") + 1 for handle in handles) / columns
    height = shape[0] * panel_height + 0.17 * (np.ceil(lines) + how.count("\n")) + 0.65
    figure = Figure(figsize=(WIDTH, height))
    set_title(figure, title)
    if how:
        place = {"loc": "outside lower left", "ncols": columns, "columnspacing": 1.5}
        add_legend(figure, handles, how, **place)
    return figure, figure.subplots(*shape, squeeze=False, **share)


def set_title(figure: Figure, title: str) -> None:
    """Set the title above all panels, in place of an earlier one."""
    figure.suptitle(wrapped(title, LONGEST_TITLE), x=0.01, ha="left", fontsize=11, fontweight="bold")


def add_legend(place: Figure | Axes, handles: Sequence[Line2D], how: str, **options: Any) -> None:
    """Add a legend that is headed by how to read the figure."""
    legend = place.legend(handles=list(handles), title=how, alignment="left", **options)
    legend.get_title().set(color=MUTED, multialignment="left")


def legend_columns(labels: list[str]) -> int:
    """Return the largest number of columns in which a legend fits the figure's width."""
    widths = [CHARACTER * max(map(len, label.split("\n"))) + SAMPLE for label in labels]
    for columns in range(len(labels), 1, -1):
        if sum(max(column) for column in np.array_split(widths, columns)) <= WIDTH:
            return columns
    return 1


def handles_of(styles: LineStyles, labels: pd.Series) -> list[Line2D]:
    """Return one legend entry per distinct label, in the order of the labels."""
    return [Line2D([], [], label=label, **styles[label]) for label in dict.fromkeys(labels)]


def wrapped(text: str, width: int = LONGEST_LINE) -> str:
    """Break a text between words into lines of at most `width` characters."""
    return textwrap.fill(text, width, break_on_hyphens=False)


def abbreviated(value: float, _position: int = 0) -> str:
    """Return an axis label: 0.05, 20, 5k, 2M, 3T."""
    power = next((power for power in (18, 15, 12, 9, 6, 3) if abs(value) >= 10**power), 0)
    return f"{value / 10**power:g}" + " kMGTPE"[power // 3].strip()


def set_log_scale(axis: Axes, which: str, ticks: list[float] | None = None) -> None:
    """Make the x or y axis logarithmic, with plain numbers at `ticks` (default: as many as its range needs)."""
    axis.set(**{f"{which}scale": "log"})
    scale = axis.xaxis if which == "x" else axis.yaxis
    low, high = scale.get_view_interval()
    steps = (1, 1.5, 2, 3, 4, 5, 7) if high < 12 * low else (1, 2, 5) if high < 300 * low else (1,)
    scale.set_major_locator(FixedLocator(ticks) if ticks else LogLocator(subs=steps, numticks=9))
    scale.set(major_formatter=FuncFormatter(abbreviated), minor_locator=NullLocator())


def draw_lines(axis: Axes, cells: pd.DataFrame, x: str, column: Column, styles: LineStyles) -> None:
    """Draw one measure against column `x`: a line per system through its cells in their order, with standard errors."""
    for label, line in cells[cells[column.name].notna()].groupby("label"):
        mean, error = line[column.name] * column.scale, line[f"{column.name}_se"].fillna(0) * column.scale
        axis.errorbar(line[x], mean, error, elinewidth=1, capsize=2, **styles[label])


def mark_failures(axis: Axes, size: int, colours: Sequence[str]) -> None:
    """Draw one × per colour at the top of a panel, above a vocabulary size at which a run did not finish."""
    place = {"xycoords": axis.get_xaxis_transform(), "textcoords": "offset points", "ha": "center"}
    for i, colour in enumerate(colours):
        axis.annotate("×", (size, 1), (-9 * i, -3), color=colour, fontsize=13, **place)
