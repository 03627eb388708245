"""Panels over the runs of cells: W&B averages these by system, and a reader can filter them."""

from collections.abc import Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr

from bench.core.record import Record
from bench.report.diagnosis_plots import CAUSES
from bench.report.generation_texts import HEADINGS
from bench.report.glossary import COST
from bench.report.plots import CURVE_UNITS
from bench.training.cell_logger import prefixed, summary_of
from bench.training.loggers import figures_measured_later

BY_SYSTEM = {  # the job type of a run is its system
    "groupby": "JobType", "groupby_aggfunc": "mean", "groupby_rangefunc": "stderr", "max_runs_to_show": 100,
}  # fmt: skip

QUALITY = {"bits_per_byte": "Bits per byte", "accuracy_at_1": "Accuracy@1"}

CURVES = {"curve/validation_nats": "Validation nats", "curve/validation_accuracy_at_1": "Validation accuracy@1"}

BARS = {  # title -> figures; a bar per system and figure
    "Accuracy@1 by tenth of the test words, most frequent first": [f"accuracy_by_decile/{i}" for i in range(1, 11)],
    "Accuracy@1 of regressors, and where the rest is lost": [
        f"diagnosis/{name}" for name in ("accuracy_at_1", *CAUSES)
    ],
} | {f"Sampled text: {each.heading}": [f"generation_quality/sampled/{each.field}"] for each in HEADINGS}


def run_panels(records: Sequence[Record]) -> list[Any]:
    """Return the panels for which at least one record has data."""
    known = {name for record in records for name in logged_names(record)}
    scatters = [
        wr.ScatterPlot(
            title=f"{title} against training seconds without the encoder's, a point per run",
            x=wr.SummaryMetric("train_seconds"), y=wr.SummaryMetric(name), log_x=True,
        )
        for name, title in QUALITY.items() if {name, "train_seconds"} <= known
    ]  # fmt: skip
    costs = [
        wr.ScatterPlot(
            title=f"{column.heading} against V, a point per run",
            x=wr.SummaryMetric("vocabulary_size"), y=wr.SummaryMetric(column.name), log_x=True, log_y=True,
        )
        for column in COST if column.grows and column.name in known
    ]  # fmt: skip
    curves = [
        wr.LinePlot(title=f"{title} against {name}", x=unit, y=[metric], title_x=name, **BY_SYSTEM)
        for metric, title in CURVES.items() for unit, name in CURVE_UNITS.items() if {metric, unit} <= known
    ]  # fmt: skip
    measured = {title: [name for name in names if name in known] for title, names in BARS.items()}
    bars = [wr.BarPlot(title=title, metrics=names, **BY_SYSTEM) for title, names in measured.items() if names]
    texts = (
        [wr.WeavePanelSummaryTable(table_name="generations")] if any(record.generations for record in records) else []
    )
    return [*scatters, *curves, *costs, *bars, *texts]


def logged_names(record: Record) -> set[str]:
    """Return the names of the figures that a cell's run holds, in its summary or its history."""
    curve = (name for row in record.curve for name in prefixed("curve", row))
    return {*summary_of(record), *figures_measured_later(record), *curve}
