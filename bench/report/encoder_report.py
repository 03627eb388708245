"""Section of the costs page about encoder ledgers: speed of each context, and drift of the fast contexts."""

import dataclasses
from collections.abc import Iterator, Sequence

import pandas as pd

from bench.cost.ledger import Ledger, is_baseline
from bench.cost.schema import EncoderLedger, EncoderRow
from bench.evaluation.metric_definition import Column
from bench.report.cost_glossary import DRIFT, ENCODING
from bench.report.cost_tables import OTHER_LIBRARY, median_of, name_of, value_of
from bench.report.ledgers import Section, machine, of_kind
from bench.report.number_format import mean_and_error, rounded
from bench.report.table import Part, Table, TableRow

SETTING = ("encoder", "corpus", "words", "window", "precision", "device", "threads")

CONTEXTS = ("causal", "prefix")  # contexts without future words, the default first: the break-even uses these

COMMAND = "python -m bench +experiment=cost_encoder"


def sections(ledgers: list[Ledger]) -> Iterator[Section]:
    """Yield a section per setting; of several ledgers of one setting, the one that finished last counts."""
    last = {tuple(getattr(each, name) for name in SETTING): each for each in of_kind(ledgers, EncoderLedger)}
    for ledger in last.values():
        yield Section(
            title="What the encoder costs",
            facts=facts(ledger),
            ledgers=[ledger],
            headline=[*headline(ledger)],
            summary=[table for table in (speed_table(ledger), drift_table(ledger)) if table.rows],
        )


def facts(ledger: EncoderLedger) -> str:
    """Return what the numbers were measured on."""
    return " · ".join((ledger.encoder, f"{ledger.words:,} words of {ledger.corpus}", ledger.precision, machine(ledger)))


def headline(ledger: EncoderLedger) -> Iterator[str]:
    """Compare `prefix` with `causal`: in time, and in the cosine of their vectors."""
    own = {(row.context, row.window): row for row in ledger.rows if not is_baseline(row.contender)}
    causal, prefix = (own.get((context, ledger.window)) for context in CONTEXTS)
    if causal and prefix and causal.words_per_second and prefix.words_per_second:
        times = mean_and_error(median_of(causal.words_per_second) / median_of(prefix.words_per_second), digits=2)
        yield f"A word takes {times} times as long by prefix as by causal, windows of {ledger.window}."
    for drift in ledger.drift:
        if drift.vectors == "causal":
            cosines = f"{rounded(drift.cosine, 2)}, {rounded(drift.cosine_within, 2)} where both read the same words"
            yield f"The mean cosine of a causal vector to the exact vector is {cosines}."


def speed_table(ledger: EncoderLedger) -> Table:
    """Return the speed of each context."""
    ranked = sorted(ledger.rows, key=lambda row: is_baseline(row.contender))
    rows = [table_row(label(row), row, ENCODING) for row in ranked]
    caption = (
        f"[ ] is p20 to p80 over {ledger.rounds} interleaved rounds of all contenders; above it the median. "
        "× plain is the time per word over that of the other library's row of the same context and window, round by "
        "round. Splitting words into pieces, once per type, is not timed on either side."
    )
    return Table("How fast each context is encoded", caption, rows, [Part([*ENCODING])], label_heading="context")


def drift_table(ledger: EncoderLedger) -> Table:
    """Return the distance of each fast context's vectors from the exact vectors."""
    rows = [table_row(each.vectors, each, DRIFT) for each in ledger.drift]
    caption = (
        f"Over {ledger.words:,} words, windows of {ledger.window}: cosine to the exact vector of the same position, "
        "which prefix computes by a pass over the words that end there. “within”: that exact vector is computed from "
        "only the words that causal has read too, from the start of its window. Effect on accuracy: experiment=context."
    )
    return Table("How far each context is from prefix", caption, rows, [Part([*DRIFT])], label_heading="vectors")


def label(row: EncoderRow) -> str:
    """Return the name of a row, as `causal, windows of 32`; a baseline's name contains its context too."""
    name = name_of(row.contender)
    if row.window is None:
        return name
    context = f", {row.context}" if is_baseline(row.contender) else ""
    return f"{name}{context}, windows of {row.window}"


def table_row(label: str, measured: object, columns: Sequence[Column]) -> TableRow:
    """Format one row of a ledger, or the reason of its failure."""
    fields = pd.Series(dataclasses.asdict(measured), dtype=object)
    failure = [] if fields.get("status", "ok") == "ok" else [f"× {fields.status}: {fields.reason or 'no reason given'}"]
    values = {column.name: value_of(fields.get(column.name), column) for column in columns}
    kind = OTHER_LIBRARY if is_baseline(str(fields.get("contender", ""))) else ""
    return TableRow(f"× {label}" if failure else label, kind, values, int(not failure), failure)


def encoding_speeds(ledgers: list[Ledger], device: str, threads: int) -> tuple[str, dict[str, float]]:
    """Return the encoder that was measured last on one machine, and its words per second by context.

    Of several windows of a context the widest counts. Both are empty if nothing was measured there.
    """
    sound = [each for each in of_kind(ledgers, EncoderLedger) if each.status == "ok"]
    here = [each for each in sound if (each.device, each.threads) == (device, threads)]
    rows = [row for each in here[-1:] for row in each.rows if not is_baseline(row.contender)]
    measured = sorted((row for row in rows if row.words_per_second), key=lambda row: row.window)
    speeds = {row.context: median_of(row.words_per_second) for row in measured}
    name = here[-1].encoder if here else ""
    return name, {context: speeds[context] for context in CONTEXTS if context in speeds}
