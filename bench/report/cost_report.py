"""Sections of the costs page about heads and whole models, and the file costs.md."""

import dataclasses
import re
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pandas as pd

from bench.cost.ledger import Ledger
from bench.cost.schema import HeadLedger, HeadRow
from bench.report import break_even, cost_plots, cost_tables, encoder_report, markdown, scaling_tables
from bench.report.cost_glossary import EVERY_COST
from bench.report.crossovers import Crossover, MeasuredOrder, crossover
from bench.report.ledgers import Section, machine, of_kind
from bench.report.number_format import extent, listed, mean_and_error
from bench.report.scaling_laws import LEAST_SIZES
from bench.report.scaling_tables import OPERATIONS, Laws
from bench.report.significance import REFERENCE

SETTING = ["part", "device", "precision", "threads", "git_commit", "positions", "hidden_size", "target_size"]

FIELDS = [each.name for each in dataclasses.fields(HeadRow)]

TITLES = {"head": "What each head costs", "model": "What each whole model costs"}


def rows(ledgers: list[HeadLedger]) -> pd.DataFrame:
    """Return a row per contender, part, V and setting; of several such rows, the one whose ledger finished last."""
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
    frame["total_mib"] = pd.Series([total_mib(row) for _, row in frame.iterrows()], dtype=object)
    return frame


def together(step: list[float] | None, update: list[float] | None) -> list[float] | None:
    """Add the spans of two operations in a row; quantiles add up if both operations are slow in the same rounds."""
    return [a + b for a, b in zip(step, update, strict=True)] if step and update else None


def total_mib(row: pd.Series) -> float | None:
    """Return weights + Adam's state + peak; None if a part was not measured."""
    parts = [row.weights_mib, row.adam_mib, row.peak_mib]
    return None if any(part is None for part in parts) else sum(parts)


def sections(ledgers: list[Ledger]) -> Iterator[Section]:
    """Yield a section per setting of the heads' ledgers: every V, on one machine."""
    frame = rows(of_kind(ledgers, HeadLedger))
    for setting, here in frame.assign(is_baseline=cost_tables.baselines(frame)).groupby(SETTING, dropna=False):
        here = here.sort_values(["is_baseline", "contender", "vocabulary_size"], ignore_index=True)
        laws = scaling_tables.fit_laws(here)
        several = [str(value) for value, name in zip(setting, SETTING, strict=True) if frame[name].nunique() > 1]
        encoder, speeds = encoder_report.encoding_speeds(ledgers, here.device.iloc[0], int(here.threads.iloc[0]))
        epochs = break_even.table_in_epochs(here, encoder, speeds, regressors(here))
        summary = [scaling_tables.crossover_table(here, laws), epochs, *scaling_tables.law_tables(here, laws)]
        by_size = here.groupby("vocabulary_size")
        yield Section(
            name="".join("-" + re.sub(r"\W+", "_", each) for each in several),
            title=TITLES.get(here["part"].iloc[0], here["part"].iloc[0]),
            facts=facts(here),
            headline=[*headline(here, laws), *missing_encoder(here, speeds)],
            summary=[table for table in summary if table],
            sizes=[table for _, each in by_size for table in cost_tables.tables_at_one_size(each)],
            ledgers=list({id(each): each for each in here.ledger}.values()),
            figures=cost_plots.draw(here, laws),
        )


def regressors(frame: pd.DataFrame) -> list[str]:
    """Return the heads that need an encoding of the text."""
    return list(dict.fromkeys(frame.contender[frame.reads_targets.astype(bool)]))


def missing_encoder(frame: pd.DataFrame, speeds: dict[str, float]) -> Iterator[str]:
    """Name the command that measures the encoder, if a head needs an encoder that was not measured here."""
    if not speeds and regressors(frame):
        yield f"Epochs until the encoding is paid for: not measured, run {encoder_report.COMMAND} on this machine."


def facts(frame: pd.DataFrame) -> str:
    """Return what the numbers were measured on."""
    one = frame.iloc[0]
    peaks = pd.Series([cost_tables.median_of(each) for each in frame.peak_gflops if each])  # empty for a failed job
    parts = [
        f"{one.positions:,} positions per step",
        f"hidden size {one.hidden_size}",
        f"word vectors of {one.target_size}",
        one.precision,
        machine(one.ledger),
        *([f"{extent(peaks, 0)} GFLOP/s in a large matrix product"] if len(peaks) else []),
    ]
    return " · ".join(parts)


def headline(frame: pd.DataFrame, laws: Laws) -> Iterator[str]:
    """Compare each regressor with full softmax: by their laws, or at the measured V if the laws contradict these."""
    smallest = int(min(frame.vocabulary_size))
    if not any(laws.values()):
        sizes = frame.vocabulary_size.nunique()
        yield f"No laws and no crossovers: a law needs {LEAST_SIZES} V, and {sizes} were measured."
    reference = laws.get((REFERENCE, "training_ms"))
    if reference:
        yield f"A training step of {REFERENCE} grows as V^{mean_and_error(reference.parameters[2], digits=2)}."
    for head in regressors(frame):
        places: dict[str, list[str]] = {}
        for name, operation in OPERATIONS.items():
            ours, theirs = laws.get((head, name)), laws.get((REFERENCE, name))
            if ours and theirs:
                order = scaling_tables.order_of(frame, head, REFERENCE, name)
                if order.contradicts(ours, theirs):
                    place = measured_text(order)
                else:
                    place = place_text(crossover(ours, theirs, smallest), min(ours.largest, theirs.largest))
                places.setdefault(place, []).append(operation)
        if places:
            clauses = "; ".join(f"{place} in {listed(operations)}" for place, operations in places.items())
            yield f"{head} is cheaper than {REFERENCE} {clauses}."


def place_text(at: Crossover, measured: float) -> str:
    """Return the V at which a cost is the lower, as `from V = 2,300 on`, `at every V` or `at no V`."""
    if (at.low, at.high) == (0, inf):
        return "at no V with certainty (the costs cannot be distinguished)"
    if at.size in (0, inf):
        return "at every V" if (at.size == 0) != at.until else "at no V"
    if at.is_uncertain_beyond(measured):
        return "at no V that was measured (uncertain beyond)"
    size = scaling_tables.format_crossover(at, inf).text
    beyond = " (extrapolated)" if at.size > measured else ""
    return f"up to V = {size.removeprefix('to ')}{beyond}" if at.until else f"from V = {size} on{beyond}"


def measured_text(order: MeasuredOrder) -> str:
    """Return `at V = 1,000 and 3,000, but dearer at V = 10,000 (measured; the laws do not fit)`."""
    cheaper, dearer = ([f"{size:,}" for size in sizes] for sizes in (order.cheaper, order.dearer))
    place = f"at V = {listed(cheaper)}" if cheaper else "at no V"
    but = f", but dearer at V = {listed(dearer)}" if dearer else ""
    return f"{place}{but} (measured; the laws do not fit)"


def write(sections: list[Section], path: Path) -> None:
    """Write the Markdown tables."""
    lines = []
    for each in sections:
        lines += [f"## {each.title}", "", markdown.plain(each.facts), "", *(f"- {line}" for line in each.headline), ""]
        lines += [line for table in (*each.summary, *each.sizes) for line in markdown.table_lines(table)]
    markdown.write_document(path, "Costs", lines, EVERY_COST)
