"""Answers to "Which head should I use?" from cost ledgers: heads and whole models that were measured, not trained."""

from collections.abc import Iterator

import pandas as pd

from bench.cost.schema import HeadLedger
from bench.report import cost_report
from bench.report.best import NEEDS
from bench.report.cost_glossary import COST_COLUMNS
from bench.report.cost_tables import baselines, median_of, value_of
from bench.report.crossovers import measured_order
from bench.report.ledgers import machine
from bench.report.recommend import Answer

COST_NEEDS = {  # field of a ledger's row -> field of a record that answers the same need
    "training_ms": "train_seconds",
    "decode_1_ms": "decode_ms_1",
    "total_mib": "peak_mib",
}

PARTS = {"head": "head alone", "model": "whole model"}


def from_ledgers(ledgers: list[HeadLedger]) -> Iterator[Answer]:
    """Yield the answers about the heads of this project, at every V and setting."""
    frame = cost_report.rows(ledgers)
    frame = frame[~baselines(frame) & (frame.status == "ok")]
    for _, here in frame.groupby([*cost_report.SETTING, "vocabulary_size"]):
        for name, record_name in COST_NEEDS.items():
            order = here.assign(order=here[name].map(median_of)).dropna(subset="order")
            if len(order):
                yield answer(order.sort_values("order", kind="stable"), name, record_name)


def answer(order: pd.DataFrame, name: str, record_name: str) -> Answer:
    """Return the answer for one need from rows of one V and setting, the least cost first."""
    one, need = order.iloc[0], NEEDS[record_name]
    scope = f"{PARTS[one['part']]}, {one.precision}, hidden size {one.hidden_size}"
    unit = f"ms per step of {one.positions:,} positions" if name == "training_ms" else need.unit
    texts = [
        f"{row.contender}: {value_of(row[name], COST_COLUMNS[name]).text} {unit}" for _, row in order[:2].iterrows()
    ]
    reasons = [f"{one.contender} {need.claim} ({scope}){texts[0].removeprefix(one.contender)}."]
    heads = one.contender
    if len(order) > 1:
        other, said = order.iloc[1], ""
        if isinstance(one[name], list):
            size = int(one.vocabulary_size)
            is_clear = bool(measured_order({size: one[name]}, {size: other[name]}).cheaper)
            said = f" {CLEAR[is_clear]}"
            heads += "" if is_clear else f" or {other.contender}"
        reasons.append(f"Next best is {texts[1]}.{said}")
    choice = {"size": f"{one.vocabulary_size:,}", "data": "", "corpus": "", "device": machine(one.ledger)}
    shown = [row for _, row in order[:2].iterrows()]
    rows = [
        (
            NEEDS[key].name,
            *(f"{value_of(row[field], COST_COLUMNS[field]).text} {COST_COLUMNS[field].unit}" for row in shown),
        )
        for field, key in COST_NEEDS.items()
    ]
    return Answer(choice | {"need": need.name}, heads, reasons, [row.contender for row in shown], rows)


CLEAR = {
    True: "The rounds (p20 to p80) do not overlap.",
    False: "The rounds (p20 to p80) overlap, or differ by less than 2 %: either will do.",
}
