"""Trials of a search -> which settings validation chooses, a table a system."""

from pathlib import Path

import pandas as pd
from rich.console import Console

from bench.record import atomically
from bench.report.markdown import joined, plain
from bench.report.numbers import shown

TITLE = (
    "Best first by validation nats per word: open, calibrated on one half of the validation words and measured on the "
    "other. Nobody looked at the test text. V = {}, {} trials each."
)


def is_trial(runs: pd.DataFrame) -> pd.Series:
    """Which runs a search made. [N] bool"""
    return runs.config.map(lambda config: "trial" in config)


def write(trials: pd.DataFrame, path: Path) -> None:
    """Put the Markdown table in place, and print each system's winner."""
    sizes = ", ".join(f"{size:,}" for size in sorted(set(trials.vocabulary_size.astype(int))))
    counts = sorted({int(count) for count in trials.groupby("system").size()})
    lines = ["# Tuning", "", TITLE.format(sizes, " or ".join(map(str, counts))), ""]
    console = Console()
    for system, family in trials.groupby("system"):
        ranked = family.sort_values(["validation_nats", "label"], na_position="last")
        lines += [
            f"## {plain(system)}",
            "",
            joined(["settings", "validation nats ↓", "train s"]),
            "| :-- | --: | --: |",
        ]
        for _, run in ranked.iterrows():
            settings = run.label.removeprefix(system).strip(" ()") or "as they are"
            nats = shown(run.validation_nats, digits=4) if run.status == "ok" else f"× {run.status}"
            lines += [joined([plain(settings), nats, shown(run.train_seconds)])]
        lines += [""]
        console.print(f"{ranked.label.iloc[0]}: {ranked.validation_nats.iloc[0]:.4f} validation nats", highlight=False)
    atomically(path, lambda file: file.write("\n".join(lines).encode()))
