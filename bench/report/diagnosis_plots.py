"""Figure of where regressors lose accuracy: a stacked bar each, from the reference's accuracy down to their own."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.plot_style import INK, LineStyles, new_figure, wrapped
from bench.report.plots_by_system import NAME_HEIGHT, NAME_WIDTH

CAUSES = {  # field -> name and colour; the first is the end of the bar at 100 %
    "lost_to_target_ambiguity": ("target ambiguity", "#882255"),
    "lost_to_conditional_mean": ("conditional mean", "#cc6677"),
    "lost_to_conditional_mean_and_fit": ("conditional mean and training", "#ddaa88"),
    "lost_to_fit": ("training", "#ddcc77"),
    "lost_to_decoding": ("decoding", "#88ccee"),
}

OWN = ("own accuracy", "#44617b")

ROW_HEIGHT = 0.32  # inches per bar

HEIGHT = 0.62  # of a bar, as a share of its row


def accuracy_lost(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw the parts of every diagnosed regressor's accuracy gap, as means over seeds; None without a diagnosis."""
    diagnosed = runs[runs.diagnosis.notna() & (runs.status == "ok")]
    if diagnosed.empty:
        return None
    sizes = sorted({int(size) for size in diagnosed.vocabulary_size})
    how = (
        "Accuracy@1 in % of the reference's (a softmax, or the truth where it is known); coloured parts are losses. "
        "Black line: the regressor's accuracy. Hatched: a part that is a gain; the losses then start below the black "
        "line. Right: accuracy@1 of the regressor and of the reference."
    )
    shown = [CAUSES[name] for name in CAUSES if any(each.get(name) for each in diagnosed.diagnosis)]
    handles = [Line2D([], [], color=colour, linewidth=7, label=name) for name, colour in (OWN, *reversed(shown))]
    rows = max(diagnosed[diagnosed.vocabulary_size == size].label.nunique() for size in sizes)
    height = 0.6 + max(ROW_HEIGHT, 2 * NAME_HEIGHT) * rows
    figure, axes = new_figure((len(sizes), 1), height, "Where the accuracy of regressors is lost", how, handles)
    for axis, size in zip(axes[:, 0], sizes, strict=True):
        plot_bars(axis, diagnosed[diagnosed.vocabulary_size == size])
        axis.set(title=f"V = {size:,}")
    return figure


def plot_bars(axis: Axes, runs: pd.DataFrame) -> None:
    """Plot one stacked bar per label, the most accurate first."""
    means = {label: mean_parts(list(each.diagnosis)) for label, each in runs.groupby("label")}
    labels = sorted(means, key=lambda label: -means[label]["accuracy_at_1"])
    for row, label in enumerate(labels):
        parts, whole = means[label], means[label]["reference_accuracy_at_1"]
        level = parts["accuracy_at_1"] / whole * 100
        axis.barh(row, level, height=HEIGHT, color=OWN[1])
        for name, (_, colour) in reversed(CAUSES.items()):
            share = parts.get(name, 0.0) / whole * 100
            gain = {"facecolor": "none", "edgecolor": colour, "hatch": "/////", "linewidth": 0, "zorder": 3}
            axis.barh(row, share, left=level, height=HEIGHT, **(gain if share < 0 else {"color": colour}))
            level += share
        axis.vlines(parts["accuracy_at_1"] / whole * 100, row - 0.5, row + 0.5, color=INK, linewidth=1.2, zorder=4)
        text = f"{parts['accuracy_at_1']:.1%} of {whole:.1%}".replace("%", " %")
        axis.text(1.02, row, text, va="center", fontsize=7.5, transform=axis.get_yaxis_transform())
    axis.axvline(100, color=INK, linewidth=0.8)
    axis.set(yticks=range(len(labels)), yticklabels=[wrapped(label, NAME_WIDTH) for label in labels])
    axis.set(ylim=(len(labels) - 0.5, -0.5), xlabel="% of the reference's accuracy@1")
    axis.set_xlim(left=0)
    axis.tick_params(axis="y", labelcolor=INK)


def mean_parts(diagnoses: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean over seeds of the figures that all seeds have."""
    names = ("accuracy_at_1", "reference_accuracy_at_1", *CAUSES)
    shared = [name for name in names if all(each.get(name) is not None for each in diagnoses)]
    return {name: float(np.mean([each[name] for each in diagnoses])) for name in shared}
