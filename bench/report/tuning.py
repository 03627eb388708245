"""Trials of a search -> which settings validation chooses, a table a system."""

from pathlib import Path

import pandas as pd
from rich.console import Console

from bench.core.files import write_atomically
from bench.report.markdown import joined, plain
from bench.report.number_format import shown
from bench.report.run_table import distinguishing

TITLE = (
    "Best first by validation nats per word: open, calibrated on one half of the validation words and measured on the "
    "other. Nobody looked at the test text. V = {}, {} trials each."
)


def is_trial(runs: pd.DataFrame) -> pd.Series:
    """Which runs a search made. [N] bool"""
    return runs.config.map(lambda config: "trial" in config).astype(bool)


def write(trials: pd.DataFrame, path: Path) -> None:
    """Put the Markdown table in place, and print each system's winner."""
    sizes = ", ".join(f"{size:,}" for size in sorted(set(trials.vocabulary_size.astype(int))))
    counts = sorted({int(count) for count in trials.groupby("system").size()})
    lines = ["# Tuning", "", TITLE.format(sizes, " or ".join(map(str, counts))), ""]
    console = Console()
    for system, family in trials.groupby("system"):
        ranked = family.assign(drawn=drawn(family)).sort_values(["validation_nats", "drawn"], na_position="last")
        lines += [
            f"## {plain(system)}",
            "",
            joined(["settings", "validation nats ↓", "train s"]),
            "| :-- | --: | --: |",
        ]
        for _, run in ranked.iterrows():
            nats = shown(run.validation_nats, digits=4) if run.status == "ok" else f"× {run.status}"
            lines += [joined([plain(run.drawn), nats])]
        lines += [""]
        console.print(
            f"{system} ({ranked.drawn.iloc[0]}): {ranked.validation_nats.iloc[0]:.4f} validation nats", highlight=False
        )
    write_atomically(path, lambda file: file.write("\n".join(lines).encode()))


def drawn(family: pd.DataFrame) -> pd.Series:
    """What tells the trials of one system apart: every setting that varies, told once where two always agree. [N]"""
    settings = pd.DataFrame([distinguishing(run) for _, run in family.iterrows()], index=family.index).fillna("none")
    varying = settings.loc[:, settings.nunique() > 1]
    told = varying.T[~varying.T.duplicated()].T
    return told.apply(lambda run: ", ".join(f"{key}={value}" for key, value in run.items()), axis=1)
