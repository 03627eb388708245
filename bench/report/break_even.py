"""When the encoding that a regressor needs has paid for itself: in epochs by ledgers, in runs by records."""

from math import inf

import numpy as np
import pandas as pd

from bench.report.cost_tables import Sheet
from bench.report.crossovers import Epochs, break_even, paid
from bench.report.glossary import Entry
from bench.report.leaderboard import Figure, Row
from bench.report.number_format import shown
from bench.report.run_table import GROUP
from bench.report.scaling_tables import points
from bench.report.significance import REFERENCE

IN_RUNS = "When the encoding has paid for itself, in runs like these"

AGAINST = (REFERENCE, "adaptive_softmax", "sampled_softmax")


def at_size(size: int) -> Entry:
    return Entry(str(size), f"V = {size:,}", "neither", "passes", "", "")


def in_epochs(frame: pd.DataFrame, encoder: dict[str, float], regressors: list[str]) -> Sheet | None:
    """After how many passes over the text a regressor has saved what encoding it took."""
    sizes = sorted(set(frame.vocabulary_size))
    columns = [at_size(size) for size in sizes]
    rows = []
    for context, head, rival in [(c, h, r) for c in encoder for h in regressors for r in AGAINST]:
        ours, theirs = points(frame, head, "training_ms"), points(frame, rival, "training_ms")
        shared = set(ours.vocabulary_size) & set(theirs.vocabulary_size)
        if shared:
            figures = {str(size): Figure() for size in sizes}
            for size in shared:
                one, other = (each[each.vocabulary_size == size].iloc[0] for each in (ours, theirs))
                spans = [np.array(each.training_ms) / each.positions for each in (one, other)]
                figures[str(size)] = epochs(break_even(1e3 / encoder[context], *spans, int(one["rounds"])))
            rows.append(Row(f"{head} against {rival}, {context}", "", figures, 1, []))
    if not rows:
        return None
    speeds = ", ".join(f"{context} {shown(speed)} words/s" for context, speed in encoder.items())
    how = (
        "Passes over the text until the time saved in training steps has paid for encoding it once, which is then "
        f"cached; [ ] is a 95 % interval. Never: it saves nothing. Encoder: {speeds}."
    )
    return Sheet("When the encoding has paid for itself, in epochs", how, rows, columns)


def epochs(found: Epochs) -> Figure:
    count, low, high = map(said, (found.count, found.low, found.high))
    return Figure(count, "" if count == low == high else f"[{low}, {high}]")


def said(count: float) -> str:
    return "never" if count == inf else shown(count, digits=2)


def in_runs(cells: pd.DataFrame) -> Sheet | None:
    """Of the cells of one corpus and budget: after how many runs like these the cached encoding has paid for itself."""
    sizes = sorted(set(cells.vocabulary_size))
    encoded = cells[cells.encode_seconds.notna() & (cells.trained_words > 0)]
    rows = []
    for rival in AGAINST:
        others = cells[(cells.system == rival) & (cells.trained_words > 0)].drop_duplicates("vocabulary_size")
        both = encoded.merge(others, on="vocabulary_size", suffixes=("", "_of_rival"))
        share = both.trained_words / both.trained_words_of_rival
        saved = both.train_seconds_of_rival * share - both.train_seconds
        error = np.hypot(both.train_seconds_se.fillna(0), both.train_seconds_se_of_rival.fillna(0) * share)
        for column, seconds in (("count", saved), ("low", saved + 2 * error), ("high", saved - 2 * error)):
            both[column] = paid(both.encode_seconds, seconds)
        for label, here in both.groupby("label"):
            figures = {str(size): Figure() for size in sizes}
            figures |= {str(c.vocabulary_size): epochs(Epochs(c["count"], c.low, c.high)) for _, c in here.iterrows()}
            rows.append(Row(f"{label} against {rival}", "", figures, 1, []))
    if not rows:
        return None
    how = (
        "Runs over as many words as these until the time they save has paid for encoding the training text once, which "
        "is then cached; [ ] is two standard errors over seeds. Never: they save nothing."
    )
    title = ", ".join(part for part in (IN_RUNS, *cells[GROUP].iloc[0]) if part)
    return Sheet(title, how, rows, [at_size(size) for size in sizes])
