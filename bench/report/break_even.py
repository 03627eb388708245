"""Break-even tables: after how many epochs or runs a regressor has saved the time that its encoding took."""

from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd

from bench.evaluation.metric_definition import Column
from bench.report.crossovers import Epochs, break_even, uses_until_saved
from bench.report.number_format import mean_and_error
from bench.report.origins import by_origin
from bench.report.run_variants import GROUP
from bench.report.scaling_tables import points
from bench.report.significance import REFERENCE
from bench.report.table import Part, Table, TableRow, Value

IN_RUNS = "After how many runs the encoding has paid for itself"

IN_EPOCHS = "After how many epochs the encoding has paid for itself"

RIVALS = (REFERENCE, "adaptive_softmax", "sampled_softmax")


def size_column(size: int) -> Column:
    """Return the column of one V."""
    return Column(str(size), f"V = {size:,}", "neither", "passes", "", "")


def table_in_epochs(frame: pd.DataFrame, encoder: str, speeds: dict[str, float], regressors: list[str]) -> Table | None:
    """Return the passes over the text until each regressor has saved the time of its encoding.

    Args:
        encoder: its name.
        speeds: words per second of the encoder, by context.
    """
    sizes = sorted(set(frame.vocabulary_size))
    rows = []
    for context, head, rival in [(c, h, r) for c in speeds for h in regressors for r in RIVALS]:
        ours, theirs = points(frame, head, "training_ms"), points(frame, rival, "training_ms")
        shared = set(ours.vocabulary_size) & set(theirs.vocabulary_size)
        if shared:
            values = {str(size): Value() for size in sizes}
            for size in shared:
                one, other = (each[each.vocabulary_size == size].iloc[0] for each in (ours, theirs))
                spans = [np.array(each.training_ms) / each.positions for each in (one, other)]
                values[str(size)] = epochs_value(break_even(1e3 / speeds[context], *spans, int(one["rounds"])))
            rows.append(TableRow(f"{head} against {rival}, {context}", "", values))
    if not rows:
        return None
    measured = ", ".join(f"{context} {mean_and_error(speed)} words/s" for context, speed in speeds.items())
    caption = (
        "Passes over the text until the time saved in training steps equals the time of encoding the text once; later "
        f"passes read the cache. [ ] is a 95 % interval. Never: training saves no time. Encoder {encoder}: {measured}."
    )
    return Table(IN_EPOCHS, caption, rows, [Part([size_column(size) for size in sizes])])


def epochs_value(epochs: Epochs) -> Value:
    """Format a number of epochs or runs, with its interval."""
    count, low, high = map(count_text, (epochs.count, epochs.low, epochs.high))
    return Value(count, "" if count == low == high else f"[{low}, {high}]")


def count_text(count: float) -> str:
    """Format a number of epochs or runs; infinity is never."""
    return "never" if count == inf else mean_and_error(count, digits=2)


def tables_in_runs(runs: pd.DataFrame) -> list[Table]:
    """Return the break-even table of the runs of one corpus and budget, for each machine and commit."""
    origins = by_origin(runs)
    tables = {origin: table_in_runs(cells) for origin, cells in origins.items()}
    named = [(origin, table) for origin, table in tables.items() if table is not None]
    return [replace(table, title=f"{table.title}, {origin}") if len(origins) > 1 else table for origin, table in named]


def table_in_runs(cells: pd.DataFrame) -> Table | None:
    """Return the runs until each cell of one corpus and budget has saved the time of its encoding.

    A rival that reads vectors of the same encoder needs the same encoding: only what a cell needs beyond that counts.
    Cells without a training time, as after a continuation on another kind of machine, are left out.
    """
    sizes = sorted(set(cells.vocabulary_size))
    timed = cells[cells.train_seconds.notna() & (cells.trained_words > 0)]
    encoded = timed[timed.encode_seconds.notna()]
    rows, alike = [], ["vocabulary_size", "trunk"]
    for rival in RIVALS:
        others = timed[timed.system == rival].drop_duplicates(alike)
        both = encoded.merge(others, on=alike, suffixes=("", "_of_rival"))
        both["extra_seconds"] = both.encode_seconds - both.encode_seconds_of_rival.fillna(0)
        both = both[both.extra_seconds > 0]
        share = both.trained_words / both.trained_words_of_rival
        saved = both.train_seconds_of_rival * share - both.train_seconds
        error = np.hypot(both.train_seconds_se, both.train_seconds_se_of_rival * share)  # NaN if either has one seed
        for column, seconds in (("count", saved), ("low", saved + 2 * error), ("high", saved - 2 * error)):
            both[column] = uses_until_saved(both.extra_seconds, seconds.fillna(saved))
        for label, here in both.groupby("label"):
            values = {str(size): Value() for size in sizes}
            for _, cell in here.iterrows():
                values[str(cell.vocabulary_size)] = epochs_value(Epochs(cell["count"], cell.low, cell.high))
            rows.append(TableRow(f"{label} against {rival}", "", values))
    if not rows:
        return None
    caption = (
        "Number of such runs after which the training time saved equals the time of encoding the training text once; "
        "later runs read the cache. [ ] is ± two standard errors over seeds; none if either system has one seed. "
        "Never: a run saves no time."
    )
    title = ", ".join(part for part in (IN_RUNS, *cells[GROUP].iloc[0]) if part)
    return Table(title, caption, rows, [Part([size_column(size) for size in sizes])])
