"""Laws -> the sheets of what grows how, and of who overtakes whom."""

from collections.abc import Iterator
from math import inf

import numpy as np
import pandas as pd

from bench.report.cost_glossary import LAWS
from bench.report.cost_tables import PEER, Sheet, name_of
from bench.report.crossovers import Crossover, crossover
from bench.report.glossary import Entry
from bench.report.leaderboard import Figure, Row
from bench.report.number_format import ends, rounded, shown
from bench.report.scaling_laws import FARTHEST, LEAST_SIZES, Law, fit, interval
from bench.report.significance import REFERENCE

ACTS = {"training_ms": "training", "decode_1_ms": "decoding 1 query", "decode_256_ms": "decoding 256 queries"}

RIVALS = (REFERENCE, "adaptive_softmax")

NEGLIGIBLE = 1e-6  # ms, and of an exponent

Fitted = dict[tuple[str, str], Law | None]  # (contender, field) -> its law; None: too few sizes


def points(frame: pd.DataFrame, contender: str, field: str) -> pd.DataFrame:
    """What one contender took at each V where it could be measured, by V."""
    return frame[(frame.contender == contender) & frame[field].notna()].sort_values("vocabulary_size")


def fitted(frame: pd.DataFrame) -> Fitted:
    """A law of each act of each contender; only what was measured counts."""
    found: Fitted = {}
    for field in ACTS:
        for contender in dict.fromkeys(frame.contender):
            here = points(frame, contender, field)
            if len(here):
                sizes = here.vocabulary_size.to_numpy(dtype=float)
                spans = np.array(here[field].tolist())
                found[contender, field] = fit(sizes, spans, int(here["rounds"].min()), seed=len(found))
    return found


def laws(frame: pd.DataFrame, found: Fitted) -> Iterator[Sheet]:
    """What is paid whatever V is, what grows, and how fast; nothing of an act that no law can be told of."""
    smallest, largest = (f"{each(frame.vocabulary_size):,}" for each in (min, max))
    for field, act in ACTS.items():
        here = {name: law for (name, of), law in found.items() if of == field}
        if any(here.values()):
            rows = [law_row(name, law, points(frame, name, field)) for name, law in here.items()]
            how = (
                f"t(V) = a + b·(V/1000)^γ in ms, fitted between V = {smallest} and {largest}; [ ] is a 95 % interval. "
                "γ = 1: in proportion to V. Flat: no growth can be told. The last column is extrapolated, not measured."
            )
            yield Sheet(f"What {act} costs as V grows", how, rows, [*LAWS])


def settled(value: float) -> str:
    """What the fit has pushed against its bound is 0, whatever is left of it."""
    return "0" if value < NEGLIGIBLE else shown(value, digits=3)


def law_row(contender: str, law: Law | None, here: pd.DataFrame) -> Row:
    kind = "peer" if contender.startswith(PEER) else ""
    if law is None:
        none = {entry.field: Figure() for entry in LAWS}
        none["fixed"] = Figure(note=f"{len(here)} V measured, a law takes {LEAST_SIZES}")
        return Row(name_of(contender), kind, none, 1, [])
    drawn = dict(zip(("fixed", "slope", "growth"), law.draws.T, strict=True))
    values = dict(zip(("fixed", "slope", "growth"), law.known, strict=True))
    far = law.at(FARTHEST)
    figures = {
        entry.field: Figure(settled(values[entry.field]), ends(*interval(drawn[entry.field]))) for entry in LAWS[:3]
    }
    if law.is_flat:
        level = ends(*interval(law.drawn(here.vocabulary_size.median())[:, 0]))
        figures = {
            "fixed": Figure(shown(law.known[0]), level),
            "slope": Figure("0"),
            "growth": Figure("0", note="flat"),
        }
    figures["misfit"] = Figure(rounded(100 * law.misfit, 1))
    figures["far"] = Figure(shown(float(far)), ends(*interval(law.drawn(FARTHEST)[:, 0])), "extrapolated")
    return Row(name_of(contender), kind, figures, 1, [])


def crossovers(frame: pd.DataFrame, found: Fitted) -> Sheet | None:
    """From which V on each head is cheaper than full and than adaptive softmax."""
    columns = [
        (Entry(f"{field} {rival}", f"{act}, against {rival}", "neither", "V", "", ""), field, rival)
        for field, act in ACTS.items()
        for rival in RIVALS
        if found.get((rival, field))
    ]
    heads = [name for name in dict.fromkeys(frame.contender) if not name.startswith(PEER)]
    heads = [name for name in heads if any(found.get((name, field)) for field in ACTS)]
    if not columns or len(heads) < 2:
        return None
    sizes = frame.vocabulary_size
    rows = [
        Row(head, "", {entry.field: passed(found, head, rival, field, sizes) for entry, field, rival in columns}, 1, [])
        for head in heads
    ]
    how = (
        "The V from which the row's head costs less than the column's, by their laws; [ ] is a 95 % interval. Always: "
        f"at every V from {min(sizes):,} to {FARTHEST:,}; never: at none. To: up to that V only. ≈: cannot be told "
        "apart. *: beyond the largest V measured, extrapolated. Not seen: by the laws at no V measured; beyond "
        "they cannot tell. –: the head itself, or no law."
    )
    return Sheet("Who overtakes whom", how, rows, [entry for entry, _, _ in columns])


def passed(found: Fitted, head: str, rival: str, field: str, sizes: pd.Series) -> Figure:
    ours, theirs = found.get((head, field)), found.get((rival, field))
    if head == rival or ours is None or theirs is None:
        return Figure()
    measured = min(ours.largest, theirs.largest)
    return crossing(crossover(ours, theirs, int(min(sizes))), measured)


def crossing(at: Crossover, measured: float) -> Figure:
    """`2,300 [1,900, 2,800]`, `always`, `never`, `not seen`; a star beyond what was measured."""

    def said(size: float) -> str:
        if size in (0, inf):
            return "always" if (size == 0) != at.until else "never"
        return f"{rounded(size, 1 - int(np.log10(size)))}{'*' if size > measured else ''}"

    if (at.low, at.high) == (0, inf):
        return Figure("≈")
    if at.beyond(measured):
        return Figure("not seen", f"[{said(at.low)}, {said(at.high)}]")
    text = ("to " if at.until else "") + said(at.size)
    low, high = said(at.low), said(at.high)
    return Figure(text, "" if low == high == text else f"[{low}, {high}]")
