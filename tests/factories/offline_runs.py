"""Runs of Weights & Biases on disk, as W&B's own reader `wandb leet inspect` shows them."""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

from wandb.util import get_core_path


def offline_runs(folder: Path) -> list[Path]:
    """Return the folders of all offline runs below a folder of experiments, in the order of their names."""
    return sorted(folder.glob("*/wandb/offline-run-*"))


def inspect(run: Path, *options: str) -> str:
    """Return the JSON text that the reader prints of a run; its program is started without Python, which takes 1 s."""
    [log] = run.glob("*.wandb")
    return printed(run, log, log.stat().st_mtime_ns, *options)


@functools.cache
def printed(run: Path, log: Path, _: int, *options: str) -> str:
    """Run the reader, once per state of the log."""
    command = [
        get_core_path(),
        "leet",
        "inspect",
        "--no-observability",
        *options,
        "--json",
        "--run-file",
        str(log),
        str(run),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def entries(run: Path, kind: str) -> list[dict[str, Any]]:
    """Return the entries of one kind in a run's log: run, metric, history, summary, …"""
    rows = [json.loads(line) for line in inspect(run).splitlines()]
    return [row[kind] for row in rows if row["type"] == kind]


def summary_of(run: Path) -> dict[str, Any]:
    """Return the final summary of a run."""
    return json.loads(inspect(run, "--summary"))["summary"]


def logged_names(run: Path) -> set[str]:
    """Return the names in the history and in the summary of a run."""
    return set(summary_of(run)).union(*(row["item"] for row in entries(run, "history")))


def columns_of(run: Path) -> dict[str, list[str]]:
    """Return the columns of a run's tables by their keys."""
    folder, tables = run / "files" / "media" / "table", {}
    for path in folder.rglob("*.table.json"):
        key = str(path.relative_to(folder)).rsplit("_", 2)[0]  # the name ends in step and hash
        tables[key] = json.loads(path.read_text())["columns"]
    return tables
