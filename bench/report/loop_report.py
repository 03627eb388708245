"""Section of the costs page about loop ledgers: cost of training beside its steps."""

import dataclasses
from collections.abc import Iterator

import pandas as pd

from bench.cost.ledger import Ledger
from bench.cost.schema import LoopLedger
from bench.report.cost_glossary import LOOP_PARTS, LOOP_TIMES
from bench.report.cost_tables import cost_table, median_of
from bench.report.ledgers import Section, machine, of_kind
from bench.report.number_format import mean_and_error

SETTING = (
    "corpus", "vocabulary_size", "backbone", "hidden_size", "budget", "logger", "device", "precision", "threads"
)  # fmt: skip


def sections(ledgers: list[Ledger]) -> Iterator[Section]:
    """Yield a section per setting; of several ledgers of one setting, the one that finished last counts."""
    last = {tuple(getattr(each, name) for name in SETTING): each for each in of_kind(ledgers, LoopLedger)}
    for ledger in last.values():
        times = (
            f"[ ] is p20 to p80 over {ledger.rounds} rounds of {ledger.words:,} words in which the loops were "
            "interleaved, from the same weights; above it the median."
        )
        parts = (
            f"{ledger.looks} validations and as many rows for the logger over the budget, a checkpoint every "
            f"{ledger.checkpoint_seconds:g} s; shares are of the bare loop's time."
        )
        named = [(row.contender, pd.Series(dataclasses.asdict(row), dtype=object)) for row in ledger.rows]
        yield Section(
            title="What the training loop costs",
            facts=facts(ledger),
            ledgers=[ledger],
            headline=[*headline(ledger)],
            summary=[
                cost_table("The loop, beside a loop of ten lines", times, named, LOOP_TIMES),
                cost_table("Validation, logging, checkpoints and data", parts, named, LOOP_PARTS),
            ],
        )


def facts(ledger: LoopLedger) -> str:
    """Return what the numbers were measured on."""
    parts = (
        f"{ledger.backbone} of {ledger.hidden_size}",
        f"V = {ledger.vocabulary_size:,}, {ledger.corpus}",
        f"budget {ledger.budget}",
        f"logger {ledger.logger}",
        ledger.precision,
        machine(ledger),
    )
    return " · ".join(parts)


def headline(ledger: LoopLedger) -> Iterator[str]:
    """Name the slowest training over a bare loop, and the cost that a process pays once."""
    ratios = {row.contender: median_of(row.default_ratio) for row in ledger.rows if row.default_ratio}
    if ratios:
        worst = max(ratios, key=ratios.__getitem__)
        yield f"Training takes at most {mean_and_error(ratios[worst])} times a bare loop's time ({worst})."
    if ledger.logger_start_seconds:
        first, *others = ledger.logger_start_seconds
        later = f", {mean_and_error(max(others), digits=2)} s at most in each later run" if others else ""
        once = f"{mean_and_error(first, digits=2)} s in a process's first run"
        yield f"Starting and ending the logger is added to this: {once}{later}."
