"""Loop ledgers -> a section of the costs page: what training costs beside its steps."""

import dataclasses
from collections.abc import Iterator

import pandas as pd

from bench.cost.ledger import Ledger
from bench.cost.schema import Loop, LoopLedger
from bench.report.cost_glossary import LOOP_PARTS, LOOP_TIMES
from bench.report.cost_tables import Sheet, drawn, middle, present
from bench.report.glossary import Entry
from bench.report.ledgers import Section, of
from bench.report.number_format import shown

SETTING = (
    "corpus", "vocabulary_size", "backbone", "hidden_size", "budget", "logger", "device", "precision", "threads"
)  # fmt: skip


def sections(ledgers: list[Ledger]) -> Iterator[Section]:
    """One a setting; of two of one setting the one last finished."""
    last = {tuple(getattr(each, name) for name in SETTING): each for each in of(ledgers, LoopLedger)}
    for each in last.values():
        yield Section(
            title="What the training loop costs",
            facts=facts(each),
            ledgers=[each],
            headline=[*headline(each)],
            summary=[
                sheet("The loop, beside one of ten lines", timed(each), each.rows, LOOP_TIMES),
                sheet("What it does beside its steps", parted(each), each.rows, LOOP_PARTS),
            ],
        )


def facts(ledger: LoopLedger) -> str:
    parts = (
        f"{ledger.backbone} of {ledger.hidden_size}",
        f"V = {ledger.vocabulary_size:,}, {ledger.corpus}",
        f"budget {ledger.budget}",
        f"logger {ledger.logger}",
        ledger.precision,
        f"{ledger.device}, {ledger.threads} thread{'s' if ledger.threads > 1 else ''}",
    )
    return " · ".join(parts)


def headline(ledger: LoopLedger) -> Iterator[str]:
    """The dearest of all, and what a process pays once."""
    ratios = {row.contender: middle(row.default_ratio) for row in ledger.rows if row.default_ratio}
    if ratios:
        worst = max(ratios, key=ratios.__getitem__)
        yield f"Training as it is takes at most {shown(ratios[worst])} times a bare loop's time ({worst})."
    if ledger.logger_start_seconds:
        first, *others = ledger.logger_start_seconds
        later = f", {shown(max(others), digits=2)} s at most in each run after it" if others else ""
        once = f"{shown(first, digits=2)} s in a process's first run"
        yield f"Starting and ending the logger comes on top: {once}{later}."


def timed(ledger: LoopLedger) -> str:
    return (
        f"[ ] is p20 to p80 over {ledger.rounds} rounds of {ledger.words:,} words in which the loops took turns from "
        "the same weights; above it the median."
    )


def parted(ledger: LoopLedger) -> str:
    return (
        f"{ledger.looks} looks and as many rows for the logger over the budget, a checkpoint every "
        f"{ledger.checkpoint_seconds:g} s; shares are of the bare loop's time."
    )


def sheet(title: str, how: str, rows: list[Loop], entries: tuple[Entry, ...]) -> Sheet:
    found = [(row.contender, pd.Series(dataclasses.asdict(row), dtype=object)) for row in rows]
    lines = drawn(found, entries)
    return Sheet(title, how, lines, present(lines, entries))
