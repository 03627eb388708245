"""Origins of costs: the machine and commit that measured a run. Times of two origins do not compare."""

import pandas as pd

from bench.report import run_table
from bench.report.glossary import COST, TIMES


def origins(runs: pd.DataFrame) -> list[str]:
    """Return the names of the machines and commits that measured a cost.

    Origins of trained systems are first, then runs that had the machine for themselves, then runs of which this is not
    known, then runs that shared it; among equals, the origins of most runs.
    """
    has_cost = runs[[column.name for column in COST]].notna().any(axis=1)
    measured = runs[has_cost & (runs.status == "ok")]
    counts = measured.origin.value_counts()
    trained = measured.groupby("origin").competes.any()
    at_once = measured.groupby("origin").cells_at_once
    shared, unknown = at_once.max() > 1, at_once.count() < at_once.size()
    return sorted(counts.index, key=lambda name: (not trained[name], shared[name], unknown[name], -counts[name], name))


def by_origin(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the cells of each machine and commit that measured a cost, by its name, in the order of `origins`."""
    return {name: run_table.cells(runs[runs.origin == name]) for name in origins(runs)}


def with_times_of(runs: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Return the runs without the times that another machine or commit measured, and how many cells it ran at once."""
    return run_table.without_times(runs, runs.origin != origin, [*TIMES, "cells_at_once"])


def with_times_of_one_origin(runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the runs with the times of the first origin alone, and its name; empty if there is one origin."""
    names = origins(runs)
    return (with_times_of(runs, names[0]), names[0]) if len(names) > 1 else (runs, "")
