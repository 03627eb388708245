"""Select runs and ledger rows by settings as they are typed on the command line: `system=cosine targets.level=type`.

A key is a dotted setting, a configuration group (`backbone=gru`), or a field of the record (`device`).
`targets.…` are the targets that a run reads: those of its head, or of contextual inputs.
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.dotted import flatten
from bench.core.errors import SettingError
from bench.core.identity import OUTSIDE_IDENTITY
from bench.report import ledgers, run_table
from bench.report.number_format import listed
from bench.report.run_table import CELL
from bench.report.run_variants import as_text, without_threads
from bench.report.variant_names import deciding_settings

FIELDS = (  # of the record
    "system", "corpus", "experiment", "vocabulary_size", "seed", "kind", "device", "cells_at_once", "git_commit",
    "label",
)  # fmt: skip

TARGETS = "system.head.targets."  # settings of the targets that a head reads

TYPED = {"system": "system.name", "corpus": "corpus.name"}  # column of tables -> setting as typed

ALIKE = ("seed", "generation.", "label", "experiment", "git_commit", "cells_at_once")  # distinguish no cells

FACTS = ("kind", "part", "vocabulary_size", "device", "precision", "threads", "git_commit")  # of a cost ledger


@cache
def runs_of(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the records of a folder once: their runs, and their settings as text. [N, …], [N, settings]

    Raises:
        SettingError: the folder holds no record.
    """
    runs = run_table.load([folder])
    if runs.empty:
        raise SettingError(str(folder), "holds no records; run its experiment, or name another folder")
    return runs, settings_table(runs)


def settings_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the settings of runs as text; "null" where a run lacks a setting. [N, settings]"""
    rows = [named_settings(run) for run in runs.to_dict("records")]
    return pd.DataFrame(rows, runs.index, dtype=object).fillna("null")


def named_settings(run: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's settings by the keys of the command line."""
    flat = flatten({key: each for key, each in run["config"].items() if key not in OUTSIDE_IDENTITY})
    own = {key.replace(TARGETS, "targets."): each for key, each in flat.items() if key.startswith(TARGETS)}
    reads_inputs = run["config"].get("inputs") == "contextual"
    kept = {
        key: each
        for key, each in flat.items()
        if not key.startswith(TARGETS) and (reads_inputs or not key.startswith("targets."))
    } | own
    groups = {key.removesuffix(".name"): each for key, each in kept.items() if key.endswith(".name")}
    fields = {name: run[name] for name in FIELDS}
    return {key: as_text(each) for key, each in (kept | groups | fields).items()}


def alike(typed: str, recorded: str) -> bool:
    """True if a typed value means the recorded one: equal text or equal numbers."""
    try:
        return typed == recorded or float(typed) == float(recorded)
    except ValueError:
        return False


def selected_runs(folder: Path, chosen: Mapping[str, str]) -> pd.DataFrame:
    """Return the runs with these settings.

    Raises:
        SettingError: no run has them; the line suggests a key, or lists the values there are.
    """
    runs, settings = runs_of(folder)
    kept = settings
    for key, value in chosen.items():
        kept = narrowed(kept, key, value, folder)
    return runs.loc[kept.index]


def narrowed(settings: pd.DataFrame, key: str, value: str, folder: Path) -> pd.DataFrame:
    """Return the rows whose setting has a value."""
    if key not in settings:
        near = difflib.get_close_matches(key, settings.columns, n=1)
        remedy = f"did you mean {near[0]}?" if near else "write it as on the command line"
        raise SettingError(key, f"nothing in {folder} has this setting; {remedy}")
    names = [name for name in (key, TYPED.get(key)) if name in settings]
    kept = settings[[any(alike(value, each) for each in row) for row in settings[names].itertuples(index=False)]]
    if kept.empty:
        values = listed(sorted(set(settings[key])))
        problem = f"nothing in {folder} with the settings before it has this value; its values are {values}"
        raise SettingError(f"{key}={value}", problem)
    return kept


def only_cell(runs: pd.DataFrame, chosen: Mapping[str, str]) -> pd.DataFrame:
    """Check that runs differ in the seed alone.

    Raises:
        SettingError: they are of several variants; the line names the settings that differ.
    """
    if len(runs[CELL].drop_duplicates()) == 1:
        return runs
    settings = settings_table(runs)
    settings["device"] = [without_threads(each) for each in settings["device"]]
    names = [name for name in settings if not name.startswith(ALIKE)]
    differing = deciding_settings(settings[names], pd.Series(0, runs.index))
    values = "; ".join(f"{name} is {listed(sorted(set(differing[name])))}" for name in differing)
    raise SettingError(written(chosen), f"matches several variants, which are not averaged: {values}; name one")


@cache
def ledger_rows(folder: Path) -> list[dict[str, Any]]:
    """Read every row of the cost ledgers of a folder once, with the facts of its ledger.

    Raises:
        SettingError: the folder holds no ledger.
    """
    found = ledgers.load([folder])
    if not found:
        raise SettingError(str(folder), "holds no cost ledgers; run its experiment, or name another folder")
    rows = []
    for ledger in found:
        names = [field.name for field in dataclasses.fields(ledger) if field.name not in ("rows", "config", "versions")]
        facts = {name: getattr(ledger, name) for name in names}
        rows += [facts | dataclasses.asdict(row) for row in ledger.rows]
    return rows


def selected_row(rows: Sequence[dict[str, Any]], chosen: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return the row with these settings.

    Raises:
        SettingError: none has them, or several have; the line says in which facts these differ.
    """
    plain = [{key: as_text(each) for key, each in row.items() if not isinstance(each, list | dict)} for row in rows]
    kept = pd.DataFrame(plain, dtype=object).fillna("null")
    for key, value in chosen.items():
        kept = narrowed(kept, key, value, folder)
    if len(kept) > 1:
        differing = [name for name in FACTS if name in kept and kept[name].nunique() > 1]
        raise SettingError(written(chosen), f"matches {len(kept)} rows of cost ledgers; name {listed(differing)} too")
    return rows[kept.index[0]]


def written(chosen: Mapping[str, str]) -> str:
    """Return settings as they are typed."""
    return " ".join(f"{key}={value}" for key, value in chosen.items())
