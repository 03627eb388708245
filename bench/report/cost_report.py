"""Cost ledgers -> costs.md, figures, sections of the page: what a head costs, and where one overtakes another."""

import dataclasses
import re
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.files import write_atomically
from bench.cost.ledger import Ledger
from bench.cost.schema import HeadLedger, Row
from bench.report import break_even, cost_plots, cost_tables, encoder_report, markdown, scaling_tables
from bench.report.cost_glossary import EVERY
from bench.report.crossovers import Crossover, crossover
from bench.report.ledgers import Section, of
from bench.report.number_format import listed, shown, span
from bench.report.scaling_laws import LEAST_SIZES
from bench.report.scaling_tables import ACTS, Fitted
from bench.report.significance import REFERENCE

SETTING = ["part", "device", "precision", "threads", "positions", "hidden_size", "target_size"]

FIELDS = [each.name for each in dataclasses.fields(Row)]

TITLES = {"head": "What each head costs", "model": "What each whole model costs"}


def rows(ledgers: list[HeadLedger]) -> pd.DataFrame:
    """A row a contender, part and V, with what its ledger says of all; of two of one kind the one last finished."""
    shared = [each.name for each in dataclasses.fields(HeadLedger) if each.name not in ("rows", "schema")]
    table: list[dict[str, Any]] = [
        {name: getattr(ledger, name) for name in shared}
        | {name: getattr(row, name) for name in FIELDS}
        | {"ledger": ledger}
        for ledger in sorted(ledgers, key=lambda each: each.finished_at)
        for row in ledger.rows
    ]
    frame = pd.DataFrame(table, columns=list(dict.fromkeys([*shared, *FIELDS, "ledger"])), dtype=object)
    frame = frame.drop_duplicates([*SETTING, "vocabulary_size", "contender"], keep="last", ignore_index=True)
    whole = ["vocabulary_size", "positions", "rounds", "hidden_size", "target_size", "threads"]
    frame[whole] = frame[whole].astype(int)
    both = zip(frame.step_ms, frame.adam_ms, strict=True)
    frame["training_ms"] = pd.Series([together(*each) for each in both], dtype=object)
    frame["total_mib"] = pd.Series([summed(row) for _, row in frame.iterrows()], dtype=object)
    return frame


def together(step: list[float] | None, update: list[float] | None) -> list[float] | None:
    """Two spans one after the other; quantiles add up where slow rounds are slow in both."""
    return [a + b for a, b in zip(step, update, strict=True)] if step and update else None


def summed(row: pd.Series) -> float | None:
    parts = [row.weights_mib, row.adam_mib, row.peak_mib]
    return None if any(part is None for part in parts) else sum(parts)


def sections(ledgers: list[Ledger]) -> Iterator[Section]:
    """One a setting of the heads' ledgers: all its V, on one machine."""
    frame = rows(of(ledgers, HeadLedger))
    for setting, here in frame.assign(is_peer=cost_tables.peers(frame)).groupby(SETTING):
        here = here.sort_values(["is_peer", "contender", "vocabulary_size"], ignore_index=True)
        found = scaling_tables.fitted(here)
        several = [str(value) for value, name in zip(setting, SETTING, strict=True) if frame[name].nunique() > 1]
        speeds = encoder_report.speeds(ledgers, here.device.iloc[0], int(here.threads.iloc[0]))
        paid = break_even.in_epochs(here, speeds, regressors(here))
        summary = [scaling_tables.crossovers(here, found), paid, *scaling_tables.laws(here, found)]
        yield Section(
            name="".join("-" + re.sub(r"\W+", "_", each) for each in several),
            title=TITLES.get(here["part"].iloc[0], here["part"].iloc[0]),
            facts=facts(here),
            headline=[*headline(here, found), *unpaid(here, speeds)],
            summary=[sheet for sheet in summary if sheet],
            sizes=[sheet for _, each in here.groupby("vocabulary_size") for sheet in cost_tables.at_one_size(each)],
            ledgers=list({id(each): each for each in here.ledger}.values()),
            figures=cost_plots.draw(here, found),
        )


def regressors(frame: pd.DataFrame) -> list[str]:
    """Heads that need an encoding first."""
    return list(dict.fromkeys(frame.contender[frame.reads_targets.astype(bool)]))


def unpaid(frame: pd.DataFrame, speeds: dict[str, float]) -> Iterator[str]:
    """What to run where nobody has measured the encoder that a head needs."""
    if not speeds and regressors(frame):
        yield f"After how many epochs the encoding is paid for: not told, run {encoder_report.COMMAND} on this machine."


def facts(frame: pd.DataFrame) -> str:
    """What the numbers were measured on."""
    one = frame.iloc[0]
    peaks = pd.Series([cost_tables.middle(each) for each in frame.peak_gflops if each])  # a job that failed has none
    parts = [
        f"{one.positions:,} positions a step",
        f"hidden size {one.hidden_size}",
        f"word vectors of {one.target_size}",
        one.precision,
        f"{one.device}, {one.threads} thread{'s' if one.threads > 1 else ''}",
        *([f"{span(peaks, 0)} GFLOP/s in a large matrix product"] if len(peaks) else []),
    ]
    return " · ".join(parts)


def headline(frame: pd.DataFrame, found: Fitted) -> Iterator[str]:
    """What the laws say of each regressor against full softmax, in sentences."""
    smallest = int(min(frame.vocabulary_size))
    if not any(found.values()):
        yield f"No laws, and no crossovers: they take {LEAST_SIZES} V, and {frame.vocabulary_size.nunique()} are here."
    reference = found.get((REFERENCE, "training_ms"))
    if reference:
        yield f"A training step of {REFERENCE} grows as V^{shown(reference.known[2], digits=2)}."
    for head in regressors(frame):
        acts: dict[str, list[str]] = {}
        for act, name in ACTS.items():
            ours, theirs = found.get((head, act)), found.get((REFERENCE, act))
            if ours and theirs:
                at = crossover(ours, theirs, smallest)
                acts.setdefault(where(at, min(ours.largest, theirs.largest)), []).append(name)
        if acts:
            said = "; ".join(f"{place} in {listed(names)}" for place, names in acts.items())
            yield f"{head} is cheaper than {REFERENCE} {said}."


def where(at: Crossover, measured: float) -> str:
    """`from V = 2,300 on`, `at every V`, `at no V`."""
    if (at.low, at.high) == (0, inf):
        return "or dearer, which cannot be told,"
    if at.size in (0, inf):
        return "at every V" if (at.size == 0) != at.until else "at no V"
    if at.beyond(measured):
        return "at no V that can be told"
    said = scaling_tables.crossing(at, inf).text
    beyond = " (extrapolated)" if at.size > measured else ""
    return f"up to V = {said.removeprefix('to ')}{beyond}" if at.until else f"from V = {said} on{beyond}"


def write(found: list[Section], path: Path) -> None:
    """Put the Markdown tables in place."""
    lines = ["# Costs", ""]
    for each in found:
        lines += [f"## {each.title}", "", markdown.plain(each.facts), "", *(f"- {said}" for said in each.headline), ""]
        lines += [line for sheet in (*each.summary, *each.sizes) for line in markdown.sheet(sheet)]
    lines += ["## What each number means", "", *(markdown.meaning(entry) for entry in EVERY)]
    write_atomically(path, lambda file: file.write(("\n".join(lines) + "\n").encode()))
