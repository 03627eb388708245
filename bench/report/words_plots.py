"""Figure of quality against training words and training time: does more data close the gap between heads?"""

from math import nan
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.core.record import is_read_again
from bench.report import run_table
from bench.report.glossary import COLUMNS
from bench.report.origins import with_times_of_one_origin
from bench.report.plot_style import HOW, LineStyles, draw_lines, handles_of, new_figure, set_log_scale
from bench.report.record_facts import text_length

FIELDS = ("bits_per_byte", "accuracy_at_1")

TIME = "seconds of training, those of encoding the text included"


def words_of(config: dict[str, Any], text: float) -> float:
    """Return a run's limit of training words; NaN without it, with a time limit too, or if the text is read again.

    Args:
        text: number of words of the training text; NaN if it is not known.
    """
    budget = config.get("budget", {})
    words = budget.get("words")
    if words is None or budget.get("seconds") or is_read_again(words, text_length(config, text)):
        return nan
    return float(words)


def with_words(runs: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of each corpus and V with several numbers of training words; column `words` has the number.

    Args:
        runs: of these cells.
    """
    sources = zip(runs.budget, runs.config, runs.text_words, strict=True)
    words = {budget: words_of(config, text) for budget, config, text in sources}
    cells = cells.assign(words=cells.budget.map(words).astype(float))
    cells = cells[cells.words.notna() & cells.bits_per_byte.notna()]
    return cells[cells.groupby(["corpus", "vocabulary_size"]).words.transform("nunique") > 1]


def timed_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of one machine and commit, without runs that other work slowed; column `seconds` is the cost.

    The encoder reads a regressor's text before the first step, so its time is a part of the cost.
    """
    undisturbed = runs[~runs.slowed]
    if undisturbed.empty:
        return run_table.cells(runs).iloc[:0].assign(seconds=float("nan"))
    cells = run_table.cells(with_times_of_one_origin(undisturbed)[0])
    return cells.assign(seconds=cells.train_seconds + cells.encode_seconds.fillna(0))


def quality_vs_words(runs: pd.DataFrame, cells: pd.DataFrame, styles: LineStyles) -> Figure | None:
    """Draw bits per byte and accuracy against training words, and against time; None with one number of words.

    Args:
        runs: of one corpus.
        cells: of these runs.
    """
    cells = with_words(runs, cells)
    if cells.empty:
        return None
    timed = with_words(runs, timed_cells(runs))
    timed = timed[timed.seconds.notna() & (timed.groupby(["vocabulary_size", "label"]).words.transform("nunique") > 1)]
    panels = [
        (size, here, x, unit)
        for size in sorted(set(cells.vocabulary_size))
        for frame, x, unit in ((cells, "words", "training words"), (timed, "seconds", TIME))
        if len(here := frame[frame.vocabulary_size == size])
    ]
    how = f"{HOW} –|–: standard error over seeds, if several."
    if len(timed):
        how += " Against time: runs of one machine and commit, without those that other work slowed."
    title, shape = "Quality as the training text grows", (len(panels), len(FIELDS))
    figure, axes = new_figure(shape, 3.0, title, how, handles_of(styles, cells.label), sharex="row")
    for row, (size, here, x, unit) in zip(axes, panels, strict=True):
        for axis, field in zip(row, FIELDS, strict=True):
            for _, variant in here.sort_values("words").groupby("variant"):
                draw_lines(axis, variant, x, COLUMNS[field], styles)
            set_log_scale(axis, "x", sorted(set(here.words)) if x == "words" else None)
            axis.set(title=f"{COLUMNS[field].heading_with_arrow}, V = {size:,}", xlabel=unit)
    return figure
