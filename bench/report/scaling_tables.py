"""Tables of scaling laws: growth of each cost with V, and the V from which one head is cheaper than another."""

from collections.abc import Iterator
from math import inf

import numpy as np
import pandas as pd

from bench.cost.ledger import is_baseline
from bench.evaluation.metric_definition import Column
from bench.report.cost_glossary import LAWS
from bench.report.cost_tables import OTHER_LIBRARY, enclosing, name_of
from bench.report.crossovers import Crossover, MeasuredOrder, crossover, measured_order
from bench.report.number_format import mean_and_error, rounded
from bench.report.scaling_laws import FARTHEST, LEAST_SIZES, Law, fit, interval
from bench.report.significance import REFERENCE
from bench.report.table import Part, Table, TableRow, Value

OPERATIONS = {"training_ms": "training", "decode_1_ms": "decoding 1 query", "decode_256_ms": "decoding 256 queries"}

RIVALS = (REFERENCE, "adaptive_softmax")

NEGLIGIBLE = 1e-6  # ms, and exponent: below, a fitted value is at its bound 0

Laws = dict[tuple[str, str], Law | None]  # (contender, column) -> its law; None: measured at too few V


def points(frame: pd.DataFrame, contender: str, name: str) -> pd.DataFrame:
    """Return the rows in which one figure of one contender was measured, sorted by V."""
    return frame[(frame.contender == contender) & frame[name].notna()].sort_values("vocabulary_size")


def fit_laws(frame: pd.DataFrame) -> Laws:
    """Fit a law to each operation of each contender."""
    laws: Laws = {}
    for name in OPERATIONS:
        for contender in dict.fromkeys(frame.contender):
            measured = points(frame, contender, name)
            if len(measured):
                sizes = measured.vocabulary_size.to_numpy(dtype=float)
                spans = np.array(measured[name].tolist())
                laws[contender, name] = fit(sizes, spans, int(measured["rounds"].min()), seed=len(laws))
    return laws


def law_tables(frame: pd.DataFrame, laws: Laws) -> Iterator[Table]:
    """Yield a table per operation that has a law: constant part, growing part, and speed of growth."""
    smallest, largest = (f"{each(frame.vocabulary_size):,}" for each in (min, max))
    for name, operation in OPERATIONS.items():
        here = {contender: law for (contender, each), law in laws.items() if each == name}
        if any(here.values()):
            rows = [law_row(contender, law, points(frame, contender, name)) for contender, law in here.items()]
            caption = (
                f"t(V) = a + b·(V/1000)^γ in ms, fitted between V = {smallest} and {largest}; [ ] is a 95 % interval. "
                "γ = 1: in proportion to V. Flat: no growth can be distinguished from noise. The last column is "
                "extrapolated, not measured."
            )
            yield Table(f"What {operation} costs as V grows", caption, rows, [Part([*LAWS])])


def fitted_value(value: float, draws: np.ndarray) -> Value:
    """Format a fitted value with the 95 % interval of its draws [B]; 0 if the fit has pushed the value to its bound."""
    low, high = interval(draws)
    value, low, high = (0.0 if each < NEGLIGIBLE else each for each in (value, low, high))
    return Value(mean_and_error(value) if value else "0", enclosing(low, value, high))


def law_row(contender: str, law: Law | None, measured: pd.DataFrame) -> TableRow:
    """Format one contender's law; its number of measured V if that is too small for a law."""
    kind = OTHER_LIBRARY if is_baseline(contender) else ""
    if law is None:
        none = {column.name: Value() for column in LAWS}
        none["fixed"] = Value(note=f"{len(measured)} V measured, a law needs {LEAST_SIZES}")
        return TableRow(name_of(contender), kind, none)
    names = ("fixed", "slope", "growth")
    values = {
        name: fitted_value(parameter, draws)
        for name, parameter, draws in zip(names, law.parameters, law.draws.T, strict=True)
    }
    if law.is_flat:
        values = {
            "fixed": fitted_value(law.parameters[0], law.drawn(measured.vocabulary_size.median())[:, 0]),
            "slope": Value("0"),
            "growth": Value("0", note="flat"),
        }
    values["misfit"] = Value(rounded(100 * law.misfit, 1))
    far = fitted_value(float(law.at(FARTHEST)), law.drawn(FARTHEST)[:, 0])
    values["far"] = Value(far.text, far.interval, "extrapolated")
    return TableRow(name_of(contender), kind, values)


def crossover_table(frame: pd.DataFrame, laws: Laws) -> Table | None:
    """Return the V from which each head is cheaper than full and than adaptive softmax; None without two heads."""
    columns = [
        (Column(f"{name} {rival}", f"{operation}, against {rival}", "neither", "V", "", ""), name, rival)
        for name, operation in OPERATIONS.items()
        for rival in RIVALS
        if laws.get((rival, name))
    ]
    heads = [contender for contender in dict.fromkeys(frame.contender) if not is_baseline(contender)]
    heads = [head for head in heads if any(laws.get((head, name)) for name in OPERATIONS)]
    if not columns or len(heads) < 2:
        return None
    sizes = frame.vocabulary_size
    rows = [
        TableRow(
            head, "", {each.name: crossover_value(laws, head, rival, name, frame) for each, name, rival in columns}
        )
        for head in heads
    ]
    caption = (
        "The V from which the row's head costs less than the column's head, by the fitted laws; [ ] is a 95 % "
        f"interval. “always”, “never”: at every V, or at no V, from {min(sizes):,} to {FARTHEST:,}. “to V”: costs less "
        "only up to that V. “≈”: the two costs cannot be distinguished. “*”: beyond the largest V measured, so "
        "extrapolated. “not seen”: at no measured V, and uncertain beyond. “no law”: the laws contradict a clear order "
        "of the costs at a measured V. “–”: the head itself, or measured at too few V."
    )
    return Table("V from which one head costs less", caption, rows, [Part([each for each, _, _ in columns])])


def order_of(frame: pd.DataFrame, head: str, rival: str, name: str) -> MeasuredOrder:
    """Compare one figure of two contenders at every V where both were measured."""
    both = (points(frame, contender, name) for contender in (head, rival))
    return measured_order(*(dict(zip(each.vocabulary_size, each[name], strict=True)) for each in both))


def crossover_value(laws: Laws, head: str, rival: str, name: str, frame: pd.DataFrame) -> Value:
    """Format the crossover of two heads' laws of one operation; a dash for a head itself, or without two laws."""
    ours, theirs = laws.get((head, name)), laws.get((rival, name))
    if head == rival or ours is None or theirs is None:
        return Value()
    if order_of(frame, head, rival, name).contradicts(ours, theirs):
        return Value("no law")
    smallest = int(min(frame.vocabulary_size))
    return format_crossover(crossover(ours, theirs, smallest), min(ours.largest, theirs.largest))


def format_crossover(at: Crossover, measured: float) -> Value:
    """Return `2,300 [1,900, 2,800]`, `always`, `never` or `not seen`; a star marks a V beyond the largest measured."""

    def size_text(size: float) -> str:
        if size in (0, inf):
            return "always" if (size == 0) != at.until else "never"
        return f"{rounded(size, 1 - int(np.log10(size)))}{'*' if size > measured else ''}"

    if (at.low, at.high) == (0, inf):
        return Value("≈")
    if at.is_uncertain_beyond(measured):
        return Value("not seen", f"[{size_text(at.low)}, {size_text(at.high)}]")
    text = ("to " if at.until else "") + size_text(at.size)
    low, high = size_text(at.low), size_text(at.high)
    return Value(text, "" if low == high == text else f"[{low}, {high}]")
