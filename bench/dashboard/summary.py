"""Summary run of an experiment on W&B: its leaderboard, charts, texts and figures, and its records as an artifact."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pandas as pd
import wandb

from bench.dashboard.content import Content
from bench.training.wandb_run import Markers, WandbCellLogger, init, run_id

JOB_TYPE = "summary"  # of the run; the job type of a cell's run is its system

REPORT_FILES = ("leaderboard.md", "index.html")  # in the artifact too, if a report was written


def log_summary(content: Content, *, project: str, mode: str, entity: str | None = None) -> bool:
    """Log the summary run of one experiment beside its records, unless these records were logged.

    Args:
        mode: `offline` or `online`, which falls back to offline.

    Returns:
        False if the run could not be started, or a call failed.
    """
    identity, folder = run_id({"experiment_name": content.experiment}, JOB_TYPE), content.folder
    markers = Markers(folder, identity, project, entity)
    shown = [*content.records, *content.figures.values(), *reports(content)]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in shown)).hexdigest()
    if markers.hold(state, mode):
        return True
    arguments = {
        "id": identity,
        "name": f"{content.experiment}: summary",
        "group": content.experiment,
        "job_type": JOB_TYPE,
        "tags": [JOB_TYPE, *sorted(set(content.runs.corpus))],
        "dir": folder,
        "project": project,
        "entity": entity,
    }
    run = init(mode, arguments)
    if run is None:
        return False
    logger = WandbCellLogger(run, markers.renewed(run))
    logger.attempt(lambda: run.log(media(content)))
    logger.attempt(lambda: run.log_artifact(records_artifact(content)))
    logger.exit_code, logger.state = 0, state
    logger.close()
    return not logger.is_broken


def media(content: Content) -> dict[str, Any]:
    """Return by key everything that the summary run shows, as objects of W&B."""
    charts = {
        key: wandb.plot_table(chart.preset, table(chart.frame), chart.fields, chart.strings)
        for key, chart in content.charts.items()
    }
    figures = {
        key: wandb.Html(path.read_text("utf-8"), inject=False) if path.suffix == ".svg" else wandb.Image(str(path))
        for key, path in content.figures.items()
    }
    return charts | {key: table(frame) for key, frame in content.tables.items()} | figures


def table(frame: pd.DataFrame) -> wandb.Table:
    """Return a frame as a table of W&B, with None for a figure that was not measured."""
    rows = [[None if pd.isna(value) else value for value in row] for row in frame.astype(object).to_numpy().tolist()]
    return wandb.Table(columns=[str(name) for name in frame.columns], data=rows)


def records_artifact(content: Content) -> wandb.Artifact:
    """Return the records, and the report if there is one, as a versioned artifact; W&B allows few characters in names.

    Values per test position stay on disk: they are several times larger than the records.
    """
    title = re.sub(r"[^\w.-]", "_", f"{content.experiment}-records", flags=re.ASCII)
    artifact = wandb.Artifact(title, type="records", description=f"Records of the experiment {content.experiment}")
    files = {path.name: path for path in (*content.records, *reports(content))}  # of a cell in two folders the later
    for name, path in files.items():
        artifact.add_file(str(path), name=name)
    return artifact


def reports(content: Content) -> list[Path]:
    """Return the files of the report that exist."""
    return [path for name in REPORT_FILES if (path := content.folder / name).is_file()]
