"""Tables of one experiment for W&B: the leaderboard as published, its plain figures, generated texts side by side."""

import pandas as pd

from bench.dashboard.charts import WAYS, generation_frame
from bench.report import leaderboard, run_table
from bench.report.generation_texts import HEADINGS
from bench.report.glossary import every_column
from bench.report.leaderboard import Leaderboard
from bench.report.origins import with_times_of_one_origin
from bench.report.run_table import CELL
from bench.report.significance import default_baseline

FACTS = (*CELL, "system", "kind", "seeds", "train_flops")


def tables(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return by name every table for which the runs of one experiment have data."""
    cells = run_table.cells(runs)
    generation = generation_frame(runs).rename(
        columns={"line": "text"} | {each.field: each.heading for each in HEADINGS}
    )
    boards = leaderboard.leaderboards(runs, cells, default_baseline(runs))
    every = {
        "leaderboard": pd.concat([board_frame(board) for board in boards]),
        "cells": plain_figures(run_table.cells(with_times_of_one_origin(runs)[0])),
        "texts": texts_side_by_side(runs, list(dict.fromkeys(cells.label))),
        "generation": generation,
    }
    return {name: frame for name, frame in every.items() if len(frame)}


def board_frame(board: Leaderboard) -> pd.DataFrame:
    """Return a leaderboard as readers see it: means ± standard errors, intervals and marks as text."""
    rows = [
        {"corpus": board.corpus, "budget": board.budget, "V": board.size, "system": row.title, "seeds": row.seeds}
        | {column.heading_with_arrow: str(row.values[column.name]) for column in board.systems.columns}
        | {"failures": "; ".join(row.failures)}
        for row in board.systems.rows
    ]
    return pd.DataFrame(rows)


def plain_figures(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the means of every measured figure as numbers that W&B can sort and plot."""
    names = dict.fromkeys([*FACTS, *(column.name for column in every_column())])
    return cells[[name for name in names if name in cells and cells[name].notna().any()]]


def texts_side_by_side(runs: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Return the generated texts of the lowest seed: a row per prompt and way of decoding, a column per system."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    generated = runs[runs.generations.astype(bool) & (runs.status == "ok")].sort_values(["vocabulary_size", "seed"])
    for run in generated.drop_duplicates(CELL).to_dict("records"):
        for text in run["generations"]:
            for way in WAYS:
                place = (run["corpus"], run["budget"], str(run["vocabulary_size"]), text["prompt"], way)
                rows.setdefault(place, {})[run["label"]] = text[way]
    index = pd.MultiIndex.from_tuples(rows, names=["corpus", "budget", "V", "prompt", "decoding"]) if rows else None
    frame = pd.DataFrame(list(rows.values()), index=index)
    return frame[[label for label in labels if label in frame]].reset_index() if rows else frame
