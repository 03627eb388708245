"""Encoder ledgers -> a section of the costs page: how fast each context is read, and what the fast ones lose."""

import dataclasses
from collections.abc import Iterator

import pandas as pd

from bench.cost.ledger import Ledger
from bench.cost.schema import EncoderLedger, Reading
from bench.report.cost_glossary import DRIFT, READING
from bench.report.cost_tables import PEER, Sheet, figure, middle, name_of
from bench.report.glossary import Entry
from bench.report.leaderboard import Row
from bench.report.ledgers import Section, of
from bench.report.number_format import rounded, shown

SETTING = ("encoder", "corpus", "words", "window", "precision", "device", "threads")

CONTEXTS = ("causal", "prefix")  # that see no future, the default first: what an encoding is paid for

COMMAND = "python -m bench +experiment=cost_encoder"


def sections(ledgers: list[Ledger]) -> Iterator[Section]:
    """One a setting; of two of one setting the one last finished."""
    last = {tuple(getattr(each, name) for name in SETTING): each for each in of(ledgers, EncoderLedger)}
    for each in last.values():
        sheets = [speeds_sheet(each), drift_sheet(each)]
        yield Section(
            title="What the encoder costs",
            facts=facts(each),
            ledgers=[each],
            headline=[*headline(each)],
            summary=[sheet for sheet in sheets if sheet.rows],
        )


def facts(ledger: EncoderLedger) -> str:
    parts = (
        ledger.encoder,
        f"{ledger.words:,} words of {ledger.corpus}",
        ledger.precision,
        f"{ledger.device}, {ledger.threads} thread{'s' if ledger.threads > 1 else ''}",
    )
    return " · ".join(parts)


def headline(ledger: EncoderLedger) -> Iterator[str]:
    """How much more `prefix` takes, and how far it is from `causal`."""
    own = {(row.context, row.window): row for row in ledger.rows if not row.contender.startswith(PEER)}
    causal, prefix = (own.get((context, ledger.window)) for context in CONTEXTS)
    if causal and prefix and causal.words_per_second and prefix.words_per_second:
        times = middle(causal.words_per_second) / middle(prefix.words_per_second)
        yield f"A word takes {shown(times, digits=2)} times as long by prefix as by causal, windows of {ledger.window}."
    for each in ledger.drift:
        if each.vectors == "causal":
            cosines = f"{rounded(each.cosine, 2)}, {rounded(each.cosine_within, 2)} where both read the same words"
            yield f"The mean cosine of a causal vector to the exact one is {cosines}."


def speeds_sheet(ledger: EncoderLedger) -> Sheet:
    ranked = sorted(ledger.rows, key=lambda row: row.contender.startswith(PEER))
    rows = [drawn(label(row), row, READING) for row in ranked]
    how = (
        f"[ ] is p20 to p80 over {ledger.rounds} rounds in which all took turns; above it the median. × peer is the "
        "time a word over that of the grey row of the same context and window, round by round. Spelling words in "
        "pieces, once a type, is left out on both sides."
    )
    return Sheet("How fast each context is read", how, rows, [*READING], first="context")


def drift_sheet(ledger: EncoderLedger) -> Sheet:
    rows = [drawn(each.vectors, each, DRIFT) for each in ledger.drift]
    how = (
        f"Over {ledger.words:,} words, windows of {ledger.window}: cosine to the exact vector of the same place, which "
        "prefix gives by a pass over the words that end there. Within: exact over the words alone that causal reads "
        "too, those from its window's start. What it does to accuracy: experiment=context."
    )
    return Sheet("How far each context is from prefix", how, rows, [*DRIFT], first="vectors")


def label(row: Reading) -> str:
    name = name_of(row.contender)
    if row.window is None:
        return name
    context = f", {row.context}" if row.contender.startswith(PEER) else ""
    return f"{name}{context}, windows of {row.window}"


def drawn(label: str, found: object, entries: tuple[Entry, ...]) -> Row:
    """One row; a failure says why."""
    values = pd.Series(dataclasses.asdict(found), dtype=object)
    failure = [] if values.get("status", "ok") == "ok" else [f"× {values.status}: {values.reason or 'no reason given'}"]
    figures = {entry.field: figure(values.get(entry.field), entry) for entry in entries}
    kind = "peer" if str(values.get("contender", "")).startswith(PEER) else ""
    return Row(f"× {label}" if failure else label, kind, figures, int(not failure), failure)


def speeds(ledgers: list[Ledger], device: str, threads: int) -> dict[str, float]:
    """Words a second on one machine, by context at its widest window, as measured last; none where nobody did."""
    sound = [each for each in of(ledgers, EncoderLedger) if each.status == "ok"]
    here = [each for each in sound if (each.device, each.threads) == (device, threads)]
    rows = [row for each in here[-1:] for row in each.rows if not row.contender.startswith(PEER)]
    read = sorted((row for row in rows if row.words_per_second), key=lambda row: row.window)
    found = {row.context: middle(row.words_per_second) for row in read}
    return {context: found[context] for context in CONTEXTS if context in found}
