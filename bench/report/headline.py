"""Answer of a page in at most three sentences: the best system, the best regressor, and what its training takes."""

from collections.abc import Sequence

import pandas as pd

from bench.report.best import NEEDS, Best, best, figure_text, main_board
from bench.report.leaderboard import Leaderboard
from bench.report.number_format import listed, mean_and_error
from bench.report.shared_words import on_other_words, on_shared_words
from bench.report.significance import compared_with


def headline(boards: Sequence[Leaderboard], timed: pd.DataFrame) -> list[str]:
    """Return the sentences about the main leaderboard; each compares one variant of a system with one other.

    Args:
        boards: every leaderboard of the page.
        timed: cells with the times of one machine and commit.
    """
    board = main_board(boards)
    leader = best(board.cells, "bits_per_byte") if board else None
    if board is None or leader is None:
        return []
    sentences = [leading(board, boards, leader)]
    regressor = best(board.cells[board.cells.kind == "regressor"], "bits_per_byte")
    subject = (regressor or leader).cell
    other = other_of(subject, leader, board)
    if other is None:
        return sentences
    role = "The best head over fixed word vectors" if regressor else "The best system"
    sentences.append(f"{role}, {subject.label}, {against(subject, other, board)}.")
    same = (timed.corpus == board.corpus) & (timed.budget == board.budget) & (timed.vocabulary_size == board.size)
    by_label = {cell.label: cell for _, cell in timed[same & timed.train_seconds.notna()].iterrows()}
    if {subject.label, other.label} <= by_label.keys():
        sentences.append(times(by_label[subject.label], by_label[other.label]))
    return sentences


def other_of(subject: pd.Series, leader: Best, board: Leaderboard) -> pd.Series | None:
    """Return what a system is compared with: its baseline, or the best other system; None for the baseline itself."""
    label = board.comparisons.baselines.get(subject.label)
    if label is None:
        return leader.next if subject.label == leader.cell.label else leader.cell
    return None if label == subject.label else board.cells[board.cells.label == label].iloc[0]


def leading(board: Leaderboard, boards: Sequence[Leaderboard], leader: Best) -> str:
    """Name the system of the fewest bits per byte, compare it with the next best, and name every V where it leads."""
    same_text = [each for each in boards if each.corpus == board.corpus]
    also = [
        each.size
        for each in same_text
        if each.budget == board.budget and each.size != board.size
        if (at := best(each.cells, "bits_per_byte")) and at.cell.label == leader.cell.label
    ]
    limit = f" ({board.budget})" if board.budget and len({each.budget for each in same_text}) > 1 else ""
    said = f"At V = {board.size:,} on {board.corpus}{limit}, {leader.cell.label} {NEEDS['bits_per_byte'].claim}: "
    too = f" It has the fewest at V = {listed(f'{size:,}' for size in sorted(also))} too." if also else ""
    return f"{said}{mean_and_error(leader.cell.bits_per_byte)}{lead(leader)}.{too}"


def lead(leader: Best) -> str:
    """Return how the best compares with the next best; empty if there is no other."""
    if leader.next is None:
        return ""
    if leader.on_other_words:
        return f"; the next best, {leader.next.label}, was measured on other test words"
    how = {None: "fewer (not tested)", True: "significantly fewer", False: "not significantly fewer"}[leader.differs]
    trunk = ", on another trunk" if leader.on_other_trunk else ""
    return f", {how} than the next best, {leader.next.label} ({mean_and_error(leader.next.bits_per_byte)}{trunk})"


def against(cell: pd.Series, other: pd.Series, board: Leaderboard) -> str:
    """Compare a cell with another: `needs 0.120 bits per byte more than softmax (significant); its first answer …`."""
    if on_other_words(cell, other):
        return f"cannot be compared with {other.label}, which was measured on other test words"
    more = cell.bits_per_byte - other.bits_per_byte
    parts = [
        f"needs {abs(more):.3f} bits per byte {'more' if more >= 0 else 'fewer'} than {other.label}"
        f"{certainty(cell, other, board, 'bits_per_byte')}"
    ]
    if pd.notna(cell.accuracy_at_1) and pd.notna(other.accuracy_at_1):
        pair = on_shared_words(pd.DataFrame([cell, other]), "accuracy_at_1")
        ours, theirs = (
            figure_text(each, "accuracy_at_1").partition(" ±")[0].removesuffix("%") for _, each in pair.iterrows()
        )
        parts.append(
            f"its first answer is right for {ours.strip()} % of the words against {theirs.strip()} %"
            f"{certainty(cell, other, board, 'accuracy_at_1')}"
        )
    return "; ".join(parts)


def certainty(cell: pd.Series, other: pd.Series, board: Leaderboard, field: str) -> str:
    """Return ` (significant)`, ` (not significant)` or ` (not tested)`; for the cell's baseline, as the tables say."""
    if board.comparisons.baselines.get(cell.label) == other.label:
        comparison = board.comparisons.by_cell.get((cell.label, field))
    else:
        rivals = [each for _, each in board.cells[board.cells.competes].iterrows() if each.label != other.label]
        comparison = compared_with(other, rivals, field).get(cell.label)
    differs = comparison and comparison.differs
    return {None: " (not tested)", True: " (significant)", False: " (not significant)"}[differs]


def times(cell: pd.Series, other: pd.Series) -> str:
    """Return the training times of two cells, each with the time of the encoding that it needs."""

    def took(each: pd.Series) -> str:
        encoding = mean_and_error(each.encode_seconds, digits=2)
        after = f" after {encoding} s of encoding its text" if pd.notna(each.encode_seconds) else ""
        return f"{each.label} took {mean_and_error(each.train_seconds, digits=2)} s{after}"

    at_once = max(cell.cells_at_once, other.cells_at_once)  # NaN, not recorded, counts as alone
    shared = f", while {at_once:.0f} cells shared the machine" if at_once > 1 else ""
    return f"Training {took(cell)}; training {took(other)}{shared}."
