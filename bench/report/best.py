"""Best cell of a table by one column, the next best, and whether the two differ."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from bench.report.glossary import COLUMNS
from bench.report.leaderboard import Leaderboard, text
from bench.report.number_format import NULL
from bench.report.record_facts import budget_order
from bench.report.shared_words import on_other_words, on_shared_words, ordering
from bench.report.significance import compared_with


class Need(NamedTuple):
    """Property that a reader may want of a head, by which heads are ranked."""

    name: str  # as a reader chooses it
    claim: str  # about the best head
    unit: str


NEEDS = {  # by the field of a cell
    "bits_per_byte": Need("bits per byte", "needs the fewest bits per byte", ""),
    "accuracy_at_1": Need("accuracy", "is right most often with its first answer", "%"),
    "train_seconds": Need("training time", "trains fastest", "s"),
    "decode_ms_1": Need("decode latency", "answers a single query fastest", "ms"),
    "peak_mib": Need("memory", "needs the least memory in training", "MiB"),
}


QUALITY = ("bits_per_byte", "accuracy_at_1")  # needs that are tested for significance; the others are costs


class Best(NamedTuple):
    """Best trained cell by one column."""

    cell: pd.Series
    next: pd.Series | None  # None: there is no other
    differs: bool | None  # the two differ significantly; None: this was not tested
    on_sample: bool = False  # both figures are of a sample, the words on which both were ranked
    on_other_words: bool = False  # the two were measured on different test words: their quality does not compare
    on_other_trunk: bool = False  # a difference between the two is not that of their heads alone


def best(cells: pd.DataFrame, field: str) -> Best | None:
    """Return the best trained cell among cells of one corpus, budget and V; None if none has the figure."""
    trained = cells[cells.competes & cells[field].notna()]
    if trained.empty:
        return None
    order = ordering(trained, field).sort_values(ascending=COLUMNS[field].direction == "lower", kind="stable").index
    first, *others = (cell for _, cell in trained.loc[order].iterrows())
    if not others:
        return Best(first, None, None)
    comparison = compared_with(first, others, field).get(others[0].label)
    pair = trained.loc[order[:2]]
    shared = on_shared_words(pair, field)
    first, second = (cell for _, cell in shared.iterrows())
    return Best(
        cell=first,
        next=second,
        differs=comparison and comparison.differs,
        on_sample=shared is not pair,
        on_other_words=on_other_words(first, second),
        on_other_trunk=bool(first.trunk and second.trunk and first.trunk != second.trunk),
    )


def figure_text(cell: pd.Series, field: str) -> str:
    """Return a figure of a cell with its unit, as `15.2 ± 0.1 %`; a dash if the cell has no such figure."""
    shown = text(cell, COLUMNS[field])
    return shown if shown == NULL else f"{shown} {NEEDS[field].unit}".strip()


def main_board(boards: Sequence[Leaderboard]) -> Leaderboard | None:
    """Return the leaderboard that a page opens with.

    That is the leaderboard with the most trained systems; among equals, the one with the most seeds, then with the
    largest V, then with the most training words.
    """

    def size(board: Leaderboard) -> tuple[float, ...]:
        trained = board.cells[board.cells.competes]
        return len(trained), trained.seeds.median(), board.size, budget_order(board.budget)[1]

    return max(boards, key=size, default=None)
