"""Tables of the law by which quality grows with the training text: bits per byte ∝ N^−α, and the gap to the baseline.

Both are least-squares lines over log N, so a slope is a weighted sum of the figures at each N. N training words,
K numbers of training words, S seeds, R resamples of the test documents.
"""

import dataclasses
from collections.abc import Callable, Iterator
from math import hypot
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from bench.evaluation.intervals import BlockSums, mean_over_seeds, percentile_interval, same_words
from bench.evaluation.metric_definition import Column, evaluate
from bench.evaluation.metrics import METRICS
from bench.report.number_format import bracketed, rounded, signed, warranted_decimals
from bench.report.paired_test import SIGNIFICANCE_LEVEL
from bench.report.record_facts import UNTRAINED
from bench.report.significance import baseline
from bench.report.table import Part, Table, TableRow, Value
from bench.report.words_plots import with_words

FEWEST_SIZES = 3  # numbers of training words that a law needs; two determine it without any misfit

BITS = METRICS["bits_per_byte"].formula

Transform = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Slope(NamedTuple):
    """A slope over log N, and its 95 % interval over documents and, if their spread is known, over seeds."""

    value: float
    low: float
    high: float
    over_seeds: bool = True


def columns(name: str) -> list[Column]:
    """Return the columns of a table whose baseline is `name`."""
    return [
        Column("exponent", "α", "higher", "1", "", ""),
        Column("last_exponent", "α, last two sizes", "higher", "1", "", ""),
        Column("misfit", "misfit", "lower", "bits per byte", "", ""),
        Column("gap", f"gap to {name}, per tenfold", "lower", "bits per byte", "", ""),
        Column("last_gap", "gap per tenfold, last two sizes", "lower", "bits per byte", "", ""),
    ]


def law_tables(runs: pd.DataFrame, cells: pd.DataFrame, name: str) -> Iterator[Table]:
    """Yield a table per corpus and V at which a system was trained on `FEWEST_SIZES` numbers of words.

    Args:
        name: system or label of the baseline.
    """
    grown = with_words(runs, cells)
    several = grown.corpus.nunique() > 1
    for (corpus, size), here in grown.groupby(["corpus", "vocabulary_size"]):
        lines = [line.sort_values("words") for _, line in here.groupby(["label", "variant"], sort=False)]
        rows = [row(line, here, name) for line in lines if line.words.nunique() >= FEWEST_SIZES]
        if not rows:
            continue
        extent = " to ".join(f"{each:,.0f}" for each in (here.words.min(), here.words.max()))
        caption = (
            f"From {extent} training words: bits per byte ∝ N^−α by least squares, and the growth of the difference to "
            f"{name} per ten times as many words; above zero the gap widens. [ ] is a 95 % interval over documents and "
            "seeds; the variance over seeds is assumed equal at every N. If the system or the baseline has one seed at "
            "every N: over documents only, and never highlighted. "
            "Misfit is the largest distance of a measured figure from the law. If the last two sizes give another α "
            "than all, the law does not hold and must not be extended. Highlighted: a gap whose interval, which is not "
            "corrected for the number of systems, excludes zero."
        )
        title = f"How quality grows with the training text, {f'{corpus}, ' if several else ''}V = {size:,}"
        yield Table(title, caption, rows, [Part(columns(name))])


def row(line: pd.DataFrame, cells: pd.DataFrame, name: str) -> TableRow:
    """Return the fitted figures of one system, whose cells are sorted by their number of words.

    α falls as N grows, so the label of a system that lacks the table's smallest or largest N names its range of N.
    """
    first = line.iloc[0]
    values = {each.name: Value() for each in columns(name)}
    fitted = exponent(line)
    if fitted is not None:
        values |= {"exponent": value(fitted), "misfit": Value(rounded(misfit(line), 3))}
        values["last_exponent"] = value(exponent(line, sizes=2))
    pairs = with_baseline(line, cells, name)
    if len(pairs) >= FEWEST_SIZES and (gap := gap_growth(pairs)) is not None:
        values |= {"gap": value(gap, is_gap=True), "last_gap": value(gap_growth(pairs, sizes=2), is_gap=True)}
        if len(pairs) < len(line):
            note = f"{pairs[0][0].words:,.0f} to {pairs[-1][0].words:,.0f} words"
            values |= {key: dataclasses.replace(values[key], note=note) for key in ("gap", "last_gap")}
    sizes = (f"{each:,.0f}" for each in (line.words.min(), line.words.max()))
    is_whole = {line.words.min(), line.words.max()} == {cells.words.min(), cells.words.max()}
    label = first.label if is_whole else f"{first.label} ({' to '.join(sizes)} words)"
    return TableRow(label, "" if first.competes else first.kind, values, int(line.seeds.max()))


def with_baseline(line: pd.DataFrame, cells: pd.DataFrame, name: str) -> list[tuple[pd.Series, pd.Series]]:
    """Pair the cells of one system with those of one variant of the baseline: the best at the largest N with any."""

    def at(ours: pd.Series, among: pd.DataFrame) -> pd.Series | None:
        return baseline(ours, among[among.budget == ours.budget], name)

    chosen = next((each for _, ours in line[::-1].iterrows() if (each := at(ours, cells)) is not None), None)
    if chosen is None:
        return []
    kept = cells[(cells.system != chosen.system) | (cells.variant == chosen.variant)]
    pairs = [(ours, at(ours, kept)) for _, ours in line.iterrows()]
    return [(ours, theirs) for ours, theirs in pairs if theirs is not None and theirs.label != ours.label]


def exponent(line: pd.DataFrame, sizes: int | None = None) -> Slope | None:
    """Return α of bits per byte ∝ N^−α; None without block sums of the same test text in every cell.

    Args:
        sizes: number of the largest N that the law is fitted to; None for all.
    """
    cells = [each for _, each in line.iterrows()]
    found = slope(np.log(line.words.to_numpy()), [cells], np.log, sizes)
    return found and found._replace(value=-found.value, low=-found.high, high=-found.low)


def gap_growth(pairs: list[tuple[pd.Series, pd.Series]], sizes: int | None = None) -> Slope | None:
    """Return the growth of the difference in bits per byte per tenfold words; None and `sizes` as in `exponent`."""
    words = np.log10([ours.words for ours, _ in pairs])
    return slope(words, [list(each) for each in zip(*pairs, strict=True)], np.asarray, sizes)


def slope(
    place: NDArray[np.float64], lines: list[list[pd.Series]], transform: Transform, sizes: int | None
) -> Slope | None:
    """Fit a line to the bits per byte of one system, or to those of the first system minus those of the second.

    The variance over seeds is pooled over all cells of a system, also those outside the fit; the degrees of freedom of
    two systems are those of Satterthwaite (1946). If a trained system has one seed in every cell, the spread of its
    seeds is unknown, and the interval is over documents alone.

    Args:
        place: logarithms of N, rising. [K]
        lines: the cells of each system, in the order of `place`. [K] each
        transform: of bits per byte, before the fit.
        sizes: number of the largest N that the line is fitted to; None for all.
    """
    blocks: list[BlockSums] = [each.blocks for line in lines for each in line]
    if None in blocks or not same_words(blocks):
        return None
    draws, mean, variance, uncertainty, over_seeds = 0.0, 0.0, 0.0, 0.0, True
    fitted = np.arange(len(place)) >= len(place) - (sizes or len(place))
    centred = np.where(fitted, place - place[fitted].mean(), 0.0)
    for sign, line in zip((1, -1), lines, strict=False):
        weights = sign * centred / np.square(centred).sum()  # [K]
        bits = [evaluate(BITS, each.blocks.totals).ravel() for each in line]  # [S] each
        mean += sum(weight * transform(values.mean()) for weight, values in zip(weights, bits, strict=True))
        seeds = [transform(values) for values in bits]
        resampled = [transform(mean_over_seeds(BITS, each.blocks.resampled)) for each in line]  # [R] each
        draws = draws + sum(weight * each for weight, each in zip(weights, resampled, strict=True))
        if line[0].kind in UNTRAINED:
            continue
        left = sum(len(values) - 1 for values in seeds)
        over_seeds &= left > 0
        if left:
            pooled = sum(np.square(values - values.mean()).sum() for values in seeds) / left
            own = pooled * sum(weight**2 / len(values) for weight, values in zip(weights, seeds, strict=True))
            variance, uncertainty = variance + own, uncertainty + own**2 / left
    ends = percentile_interval(draws, len(blocks[0]))
    if ends is None:
        return None
    reach = 0.0
    if over_seeds and uncertainty:
        reach = variance**0.5 * -special.stdtrit(variance**2 / uncertainty, SIGNIFICANCE_LEVEL / 2)
    return Slope(mean, mean - hypot(mean - ends[0], reach), mean + hypot(ends[1] - mean, reach), over_seeds)


def misfit(line: pd.DataFrame) -> float:
    """Return the largest distance of a cell from the law, in bits per byte."""
    places, bits = np.log(line.words), np.log(line.bits_per_byte)
    return float(np.abs(np.exp(np.polyval(np.polyfit(places, bits, 1), places)) - line.bits_per_byte).max())


def value(found: Slope | None, is_gap: bool = False) -> Value:
    """Format a slope and its interval; a gap has a sign, and leads if its interval over seeds too excludes zero."""
    if found is None:
        return Value()
    sign = "+" if is_gap else ""
    text = signed(found.value, warranted_decimals(found.low, found.high), sign)
    is_certain = found.over_seeds and (found.low > 0 or found.high < 0)
    return Value(text, bracketed(found.low, found.high, sign), leads=is_gap and is_certain)
