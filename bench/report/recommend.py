"""Answers to "Which head should I use?" from records: one per text, training data, V, device and need."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.report import run_table
from bench.report.best import NEEDS, QUALITY, Best, best, figure_text
from bench.report.glossary import COLUMNS, TIMES
from bench.report.leaderboard import Leaderboard
from bench.report.number_format import mean_and_error
from bench.report.origins import with_times_of_one_origin
from bench.report.shared_words import ordering

CHOICES = {  # heading of each choice of a reader, in the order of the page
    "size": "Vocabulary size V",
    "data": "Training data",
    "corpus": "Text",
    "device": "Device",
    "need": "What matters",
}

NOT_RECORDED = "not recorded"

TESTED = {
    True: "The difference is significant (p < .05, corrected for the number of comparisons).",
    False: "The difference is not significant: the test cannot separate the two.",
    None: "The difference was not tested, since a test needs two seeds and enough documents.",
}

OTHER_WORDS = "The two were measured on different test words, so that these figures do not compare."


@dataclass(frozen=True)
class Answer:
    """Head to use for one choice of the reader, and why."""

    choice: dict[str, str]  # by the keys of CHOICES; an empty value fits every choice
    heads: str
    reasons: list[str]
    headings: list[str] = field(default_factory=list)  # labels of the best and the next best
    rows: list[tuple[str, ...]] = field(default_factory=list)  # (need, figure of the best, figure of the next best)


def from_records(runs: pd.DataFrame) -> Iterator[Answer]:
    """Yield the answers about trained models: quality over the seeds of all devices, costs per device.

    Times are those of one machine and commit.
    """
    named = runs.assign(device=runs.device.fillna(NOT_RECORDED))
    groups = [((*key, ""), QUALITY, here) for key, here in named.groupby(["corpus", "budget"])]
    costs = tuple(name for name in NEEDS if name not in QUALITY)
    groups += [(key, costs, here) for key, here in named.groupby(["corpus", "budget", "device"])]
    for (corpus, budget, device), names, here in groups:
        for size, of_size in here.groupby("vocabulary_size"):
            timed, origin = with_times_of_one_origin(of_size)
            cells = run_table.cells(timed)
            for name in names:
                if (found := best(cells, name)) is not None:
                    choice = {"size": f"{size:,}", "data": budget or NOT_RECORDED, "corpus": corpus}
                    choice |= {"device": device, "need": NEEDS[name].name}
                    yield answer(choice, found, name, cells, timed, origin)


def answer(
    choice: dict[str, str], found: Best, name: str, cells: pd.DataFrame, runs: pd.DataFrame, origin: str
) -> Answer:
    """Return the answer for one need, with every figure of the best and of the next best.

    Args:
        cells, runs: of one V.
        origin: machine and commit whose times the cells have; empty if all are from one.
    """
    cell, other, differs = found.cell, found.next, found.differs
    reasons = [f"{cell.label} {NEEDS[name].claim}: {figure_text(cell, name)}."]
    if other is not None:
        said = OTHER_WORDS if found.on_other_words else TESTED[differs]
        if name not in QUALITY:
            differs, said = apart(*(runs[runs.label == each.label][name].dropna() for each in (cell, other)))
        reasons.append(f"Next best is {other.label}: {figure_text(other, name)}. {said}")
        if found.on_other_trunk:
            reasons.append("The two have different trunks: their difference is not that of the heads alone.")
    if name == "train_seconds" and pd.notna(cell.encode_seconds):
        reasons.append(f"Encoding its text took {mean_and_error(cell.encode_seconds)} s more, once, before training.")
    if found.on_sample:
        reasons.append("Both figures are of the test words on which both systems were ranked.")
    reasons += better_floors(cells, name)
    shown = [cell] if other is None else [cell, other]
    measured = {key: need.name for key, need in NEEDS.items() if any(pd.notna(each[key]) for each in shown)}
    if origin and not measured.keys().isdisjoint(TIMES):
        reasons.append(f"Times are those of {origin} alone: those of other machines or commits do not compare.")
    rows = [(need, *(figure_text(each, key) for each in shown)) for key, need in measured.items()]
    heads = f"{cell.label} or {other.label}" if other is not None and differs is False else cell.label
    return Answer(choice, heads, reasons, [each.label for each in shown], rows)


def apart(ours: pd.Series, theirs: pd.Series) -> tuple[bool | None, str]:
    """Return whether every seed of the best is below every seed of the next best, and a sentence that says so."""
    if min(len(ours), len(theirs)) < 2:
        return None, "With one seed it is not known how far this varies."
    if ours.max() < theirs.min():
        return True, "Every seed of the first is below every seed of the second."
    return False, "Their seeds overlap: the figures do not separate the two."


def better_floors(cells: pd.DataFrame, name: str) -> Iterator[str]:
    """Yield a sentence for each floor whose quality is above that of the best trained system."""
    if name in QUALITY:
        sign = 1 if COLUMNS[name].direction == "lower" else -1
        known = cells[((cells.kind == "floor") | cells.competes) & cells[name].notna()]
        order = sign * ordering(known, name)
        for _, floor in known[(known.kind == "floor") & (order < order[known.competes].min())].iterrows():
            yield f"The floor {floor.label} is better than every trained system: {figure_text(floor, name)}."


def control(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return the choices that a page offers, each with the values for which some answer exists."""
    needs = [need.name for need in NEEDS.values()]
    keys = {"need": needs.index}  # other values differ in a number: the longer, the larger
    return [
        {
            "name": name,
            "heading": heading,
            "values": sorted(values, key=keys.get(name, lambda value: (len(value), value))),
        }
        for name, heading in CHOICES.items()
        if (values := {each.choice[name] for each in answers} - {""})
    ]


def first_choice(answers: Sequence[Answer], main: Leaderboard | None) -> dict[str, str]:
    """Return the choice that a page opens with: the first need on the main leaderboard, or at the largest V."""
    if main is not None:
        wanted = {"size": f"{main.size:,}", "data": main.budget or NOT_RECORDED, "corpus": main.corpus}
        for each in answers:
            if wanted.items() <= each.choice.items():
                return each.choice
    return max((each.choice for each in answers), key=lambda choice: int(choice["size"].replace(",", "")), default={})
