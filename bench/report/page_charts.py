"""Interactive figure of quality against training cost, as Vega-Lite specifications; the page holds the library."""

from typing import Any

import pandas as pd

from bench.report.best import figure_text
from bench.report.number_format import mean_and_error
from bench.report.plot_style import line_styles
from bench.report.run_table import pareto

TRAINING_COSTS = {"train_seconds": "training seconds", "train_flops": "training FLOPs"}

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left")

HEIGHT = 380  # pixels

SMALLEST, LARGEST = 60, 260  # areas of markers, in square pixels

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'  # of the page

CONFIG = {  # the page's colours and font
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)", "titleColor": "var(--ink)", "gridColor": "var(--grid)", "domain": False,
        "ticks": False, "labelPadding": 6, "titlePadding": 10, "labelFontSize": 12, "titleFontSize": 12,
        "titleFontWeight": 400,
    },
    "legend": {
        "labelColor": "var(--ink)", "titleColor": "var(--muted)", "labelFontSize": 12, "titleFontSize": 12,
        "titleFontWeight": 400, "labelLimit": 300, "orient": "bottom", "symbolType": "circle",
        "columns": {"expr": "width < 460 ? 1 : width < 760 ? 2 : 3"}, "columnPadding": 24, "symbolStrokeWidth": 0,
        "layout": {"bottom": {"anchor": "start", "direction": "vertical", "margin": 12}},
    },
}  # fmt: skip


TOOLTIP = [  # of a marker; a floor has the first four
    {"field": "label", "title": "system"},
    {"field": "size", "title": "V", "type": "quantitative", "format": ","},
    {"field": "bits_text", "title": "bits per byte"},
    {"field": "accuracy", "title": "accuracy@1"},
    {"field": "seconds", "title": "training"},
    {"field": "flops", "title": "training FLOPs"},
]


def quality_vs_cost(cells: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return a specification per training cost, by the cost's name; empty if nothing was trained.

    Args:
        cells: of one text and budget, with the times of one machine and commit.
    """
    floors = cells[(cells.kind == "floor") & cells.bits_per_byte.notna()].sort_values("bits_per_byte")[:1]
    trained = cells[cells.competes & cells.bits_per_byte.notna()]
    styles = line_styles(cells)
    specs = {}
    for field, name in TRAINING_COSTS.items():
        points = trained[trained[field] > 0]
        if len(points):
            front = pareto(points[field].to_numpy(), points.bits_per_byte.to_numpy())
            labels = list(dict.fromkeys(points.label))
            specs[name] = specification(
                [
                    point(cell, field) | {"front": bool(on)}
                    for (_, cell), on in zip(points.iterrows(), front, strict=True)
                ],
                [point(cell, "") for _, cell in floors.iterrows()],
                name,
                {label: styles[label]["color"] for label in labels},
                sorted({int(size) for size in points.vocabulary_size}),
            )
    return specs


def point(cell: pd.Series, field: str) -> dict[str, Any]:
    """Return the data of one marker: where it is, and the texts that a reader sees on hover."""
    return {
        "label": cell.label,
        "size": int(cell.vocabulary_size),
        "bits": float(cell.bits_per_byte),
        "cost": float(cell[field]) if field else None,
        "bits_text": figure_text(cell, "bits_per_byte"),
        "accuracy": figure_text(cell, "accuracy_at_1"),
        "seconds": figure_text(cell, "train_seconds"),
        "flops": mean_and_error(cell.train_flops),
    }


def specification(
    points: list[dict[str, Any]], floors: list[dict[str, Any]], cost: str, colours: dict[str, str], sizes: list[int]
) -> dict[str, Any]:
    """Return the figure: Pareto front, best floor, a thin line per system over V, a marker per cell."""
    x = {"field": "cost", "type": "quantitative", "title": cost, "scale": {"type": "log", "padding": 24, "nice": False}}
    x["axis"] = {"format": "~s", "tickCount": 6, "grid": False}
    y = {"field": "bits", "type": "quantitative", "title": "bits per byte", "scale": {"zero": False, "padding": 16}}
    scale = {"domain": [*colours], "range": [*colours.values()]}
    colour = {"field": "label", "type": "nominal", "scale": scale, "title": "System"}
    shapes = {"domain": [*colours], "range": [SHAPES[i % len(SHAPES)] for i in range(len(colours))]}
    faded = {"condition": {"param": "chosen", "value": 1}, "value": 0.12}
    size: dict[str, Any] = {"value": 130}
    if len(sizes) > 1:
        areas = [SMALLEST + (LARGEST - SMALLEST) * i / (len(sizes) - 1) for i in range(len(sizes))]
        size = {"field": "size", "type": "ordinal", "title": "V", "scale": {"domain": sizes, "range": areas}}
        size["legend"] = {"format": ",", "symbolFillColor": "var(--muted)", "columns": {"expr": "width < 460 ? 2 : 6"}}
    front = {"type": "line", "stroke": "var(--grid)", "strokeWidth": 9, "strokeCap": "round", "tooltip": None}
    rule = {"type": "rule", "stroke": "var(--muted)", "strokeDash": [5, 4]}
    marker = {"type": "point", "filled": True, "stroke": "var(--card)", "strokeWidth": 1, "opacity": 1}
    choose = {"name": "chosen", "select": {"type": "point", "fields": ["label"]}, "bind": "legend"}
    return {
        "width": "container",
        "height": HEIGHT,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        "data": {"values": points},
        "layer": [
            {
                "mark": front,
                "transform": [{"filter": "datum.front"}],
                "encoding": {"x": x, "y": y, "order": {"field": "cost"}},
            },
            *(
                {"mark": rule, "data": {"values": [each]}, "encoding": {"y": y, "tooltip": TOOLTIP[:4]}}
                for each in floors
            ),
            {
                "mark": {"type": "line", "strokeWidth": 1},
                "encoding": {"x": x, "y": y, "color": colour, "order": {"field": "size"}, "opacity": faded},
            },
            {
                "mark": marker,
                "params": [choose],
                "encoding": {"x": x, "y": y, "color": colour, "size": size, "opacity": faded, "tooltip": TOOLTIP}
                | {"shape": {"field": "label", "type": "nominal", "scale": shapes, "title": "System"}},
            },
        ],
    }
