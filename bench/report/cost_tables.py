"""Ledgers -> what a reader is shown of them: a sheet a V. Markdown, terminal and page draw it."""

from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from bench.report.cost_glossary import APPROXIMATE, DECODING, MEASURED, MEMORY, TRAINING
from bench.report.glossary import Entry
from bench.report.leaderboard import Figure, Row
from bench.report.number_format import NULL, ends, shown
from bench.report.significance import REFERENCE

PEER = "peer:"  # before the name of a contender of another library


@dataclass(frozen=True)
class Sheet:
    """One table; `how` says how to read it."""

    title: str
    how: str
    rows: list[Row]
    columns: list[Entry]
    first: str = "system"  # what a row is

    @property
    def parts(self) -> list[list[Entry]]:
        return [self.columns]

    @property
    def failures(self) -> list[str]:
        return [
            f"{row.label.removeprefix('× ')} {failure}" for row in self.rows for failure in row.failures if row.seeds
        ]


def figure(value: Any, entry: Entry, note: str = "") -> Figure:
    """A span's median above its p20 and p80, or a number alone."""
    if isinstance(value, (list, np.ndarray)):
        low, middle, high = (entry.scale * each for each in value)
        return Figure(shown(middle, digits=entry.digits), ends(low, high), note)
    return Figure(shown(float("nan" if value is None else value) * entry.scale, digits=entry.digits), note=note)


def middle(value: Any) -> float:
    """The median of a span, the number itself, or not a number."""
    if isinstance(value, (list, np.ndarray)):
        return float(value[1])
    return nan if value is None else float(value)


def ratio(frame: pd.DataFrame, field: str) -> pd.Series:
    """One figure over full softmax's in the same file. [N]"""
    values = frame[field].map(middle)
    reference = values[frame.contender == REFERENCE]
    return values / (reference.iloc[0] if len(reference) else nan)


def at_one_size(frame: pd.DataFrame) -> list[Sheet]:
    """Every contender at one V: training, memory, decoding; and the indexes that search faster than all V words."""
    size, rounds = int(frame.vocabulary_size.iloc[0]), int(frame["rounds"].iloc[0])
    frame = frame.assign(
        training_ratio=ratio(frame, "training_ms"), decode_ratio=ratio(frame, "decode_256_ms"), is_peer=peers(frame)
    )
    timed = f"[ ] is p20 to p80 over {rounds} rounds in which all took turns; above it the median. Fastest first."
    held = "What the allocator says, with nothing else held. Least first."
    sheets = []
    for what, entries in {"training": TRAINING, "memory": MEMORY, "exact decoding": DECODING}.items():
        order = frame[entries[0].field].map(middle)
        ranked = frame.assign(order=order).sort_values(["is_peer", "order", "contender"])
        nothing = ranked[[entry.field for entry in MEASURED]].isna().all(axis=1)
        told = nothing if what == "training" else False  # what could not even start is told once
        ranked = ranked[told | ranked[[entry.field for entry in entries]].notna().any(axis=1)]
        if len(ranked):
            rows = drawn([(name_of(row.contender), row) for _, row in ranked.iterrows()], entries)
            how = held if what == "memory" else timed
            sheets.append(Sheet(f"V = {size:,}: {what}", how, rows, present(rows, entries)))
    found = [each for _, row in frame.iterrows() for each in indexes(row)]
    if found:
        rows = drawn(found, APPROXIMATE)
        how = (
            "Search that looks at a part of the words: built in so many seconds, it finds so much of the exact answer."
        )
        sheets.append(Sheet(f"V = {size:,}: approximate decoding", how, rows, present(rows, APPROXIMATE)))
    return sheets


def indexes(row: pd.Series) -> list[tuple[str, pd.Series]]:
    """(label, figures) of each index that one contender was searched with."""
    return [
        (
            f"{name_of(row.contender)}, {each['index']}",
            pd.Series(
                {f"index_{key}": value for key, value in each.items()}
                | {"index_ratio": middle(each.get("decode_1_ms")) / middle(row.decode_1_ms)}
                | {"contender": row.contender, "reason": each.get("reason")}
                | {"status": "failed" if each.get("reason") else "ok"}
            ),
        )
        for each in row.approximate or []
    ]


def drawn(found: list[tuple[str, pd.Series]], entries: tuple[Entry, ...]) -> list[Row]:
    """Rows of figures; the best of a column among our own heads leads, and what reads the same."""
    columns = {}
    for entry in entries:
        figures = [figure(row.get(entry.field), entry) for _, row in found]
        own = [
            (middle(row.get(entry.field)), each.text)
            for (_, row), each in zip(found, figures, strict=True)
            if not row.contender.startswith(PEER) and each.text != NULL
        ]
        best = (min if entry.better == "lower" else max)(own, default=(nan, None))[1] if len(own) > 1 else None
        columns[entry.field] = [
            Figure(each.text, each.interval, leads=each.text == best and not row.contender.startswith(PEER))
            for (_, row), each in zip(found, figures, strict=True)
        ]
    return [
        Row(
            label=label if row.status == "ok" else f"× {label}",
            kind="peer" if row.contender.startswith(PEER) else "",
            figures={field: figures[i] for field, figures in columns.items()},
            seeds=int(any(figures[i].text != NULL for figures in columns.values())),
            failures=[] if row.status == "ok" else [f"× {row.status}: {row.reason or 'no reason given'}"],
        )
        for i, (label, row) in enumerate(found)
    ]


def present(rows: list[Row], entries: tuple[Entry, ...]) -> list[Entry]:
    """The columns that anybody was measured on."""
    kept = [entry for entry in entries if any(row.figures[entry.field].text != NULL for row in rows)]
    return kept or list(entries)


def peers(frame: pd.DataFrame) -> pd.Series:
    return frame.contender.str.startswith(PEER)


def name_of(contender: str) -> str:
    return contender.removeprefix(PEER)
