"""Workspace and report of a W&B project, as objects of `wandb-workspaces`: a section per experiment."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb_workspaces.expr as expr
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from bench.core.files import write_atomically
from bench.dashboard.content import Content
from bench.dashboard.run_panels import run_panels
from bench.dashboard.summary import JOB_TYPE
from bench.report.number_format import listed

TITLE = "Output heads of word-level language models"

FIRST = """**What to look at first**

1. The leaderboard of an experiment, in its section: best bits per byte first.
2. Bits per byte against training seconds, those of the encoder left out: lower left is better.
3. Validation nats against seconds: a line that is lower everywhere wins at every budget.

Training losses of different heads do not compare, so no panel shows these. Records are the source of all figures.
"""

RUN_FIELDS: dict[str, dict[str, str]] = {"id": {}, "name": {}, "_defaultColorIndex": {}}  # as `run.log` asks for

WIDE, HALF, HEIGHT = 24, 12, 9  # of panels in a report, in cells of its grid


def workspace(contents: Sequence[Content], project: str, entity: str) -> ws.Workspace:
    """Return the saved view of the project: the runs by group and system, and a section per experiment."""
    records = [record for each in contents for record in each.records.values()]
    panels = [wr.MarkdownPanel(markdown=FIRST), *run_panels(records)]
    sections = [ws.Section(name="All runs", panels=panels, is_open=True, pinned=True)]
    sections += [
        ws.Section(name=each.experiment, panels=panels_of(each), is_open=len(contents) == 1) for each in contents
    ]
    columns = ("bits_per_byte", "accuracy_at_1", "vocabulary_size", "train_seconds", "status")
    runset = ws.RunsetSettings(
        groupby=[expr.Metric("Group"), expr.Metric("JobType")],
        order=[expr.Ordering(expr.Summary("bits_per_byte"))],
        pinned_columns=[f"summary:{column}" for column in columns],
    )
    settings = ws.WorkspaceSettings(x_axis="words", max_runs=30)
    return ws.Workspace(
        entity=entity, project=project, name=TITLE, sections=sections, settings=settings, runset_settings=runset
    )


def report(contents: Sequence[Content], project: str, entity: str) -> wr.Report:
    """Return a report with a heading per experiment, and below it the panels of this experiment's runs."""
    blocks: list[Any] = [wr.MarkdownBlock(text=FIRST), wr.TableOfContents()]
    for content in contents:
        in_group = expr.Metric("Group") == content.experiment
        summary = wr.Runset(name="summary", filters=expr.And(in_group, expr.Metric("JobType") == JOB_TYPE))
        cells = wr.Runset(
            name="runs", filters=expr.And(in_group, expr.Metric("JobType") != JOB_TYPE), groupby=["JobType"]
        )
        blocks += [
            wr.H1(text=content.experiment),
            wr.P(text=facts(content)),
            wr.PanelGrid(runsets=[summary], panels=placed(panels_of(content))),
            wr.H2(text=f"{content.experiment}: every run"),
            wr.PanelGrid(runsets=[cells], panels=placed(run_panels([*content.records.values()]))),
        ]
    return wr.Report(project=project, entity=entity, title=TITLE, blocks=blocks, width="fluid")


def panels_of(content: Content) -> list[Any]:
    """Return the panels over the summary run of one experiment: leaderboard, charts, other tables, figures."""
    first, *others = sorted(content.tables, key=lambda key: not key.endswith("/leaderboard"))
    charts = [
        wr.CustomChart(
            query=RUN_FIELDS | {"summaryTable": {"tableKey": f"{key}_table"}},  # `run.log` of a chart adds this suffix
            chart_name=chart.preset,
            chart_fields=chart.fields,
            chart_strings=chart.strings,
        )
        for key, chart in content.charts.items()
    ]
    figures = [
        wr.MediaBrowser(title=path.stem.replace("_", " "), media_keys=[key], num_columns=1)
        for key, path in content.figures.items()
    ]
    tables = [wr.WeavePanelSummaryTable(table_name=key) for key in (first, *others)]
    return [tables[0], *charts, *tables[1:], *figures]


def placed(panels: list[Any]) -> list[Any]:
    """Place panels in the grid of a report: charts in pairs, tables and figures over the whole width."""
    x = y = 0
    for panel in panels:
        width = WIDE if isinstance(panel, wr.WeavePanelSummaryTable | wr.MediaBrowser) else HALF
        if x + width > WIDE:
            x, y = 0, y + HEIGHT
        panel.layout = wr.Layout(x=x, y=y, w=width, h=HEIGHT)
        x += width
    return panels


def facts(content: Content) -> str:
    """Return a sentence on what the records of one experiment cover."""
    runs = content.runs
    sizes = [f"{size:,}" for size in sorted(set(runs.vocabulary_size))]
    parts = [
        f"{len(runs):,} records of {runs.system.nunique()} systems",
        f"corpus {listed(sorted(set(runs.corpus)))}",
        f"V = {listed(sizes)}",
        f"{runs.seed.nunique()} {'seed' if runs.seed.nunique() == 1 else 'seeds'}",
    ]
    return ", ".join(parts) + "."


def write(path: Path, shown: ws.Workspace, read: wr.Report) -> Path:
    """Write the specifications of workspace and report as W&B would store them."""
    models = {"workspace": shown._to_model(), "report": read._to_model()}
    spec = {name: model.model_dump(mode="json", by_alias=True, exclude_none=True) for name, model in models.items()}
    return write_atomically(path, lambda file: file.write(json.dumps(spec, indent=1).encode()))
