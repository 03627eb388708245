"""Ways to read take turns: what each takes, how near its vectors are to a plain pass's, what drift is told from.

N words, D the width.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bench.core.errors import SettingError, one_line, status_of
from bench.cost.encoder_drift import cosines
from bench.cost.encoder_variants import PlainReader, Sample, Way, gathered, vectors
from bench.cost.memory import peak_mib
from bench.cost.schema import Reading
from bench.cost.timing import span


@dataclass(eq=False)
class EncoderResult:
    """What has been found of one way."""

    way: Way
    speeds: list[float] = field(default_factory=list)  # words a second, a round each
    figures: dict[str, Any] = field(default_factory=dict)
    vectors: dict[int | None, np.ndarray] = field(default_factory=dict)  # by stretch; None: of the whole text
    status: str = "ok"
    reason: str | None = None

    def row(self) -> Reading:
        """As the file has it."""
        return Reading(
            contender=self.way.name,
            status=self.status,
            reason=self.reason,
            context=self.way.context,
            window=self.way.window,
            precision=self.way.precision,
            words_per_second=span(self.speeds) if self.speeds else None,
            **self.figures,
        )


def measure(every: list[Way], given: Sample, rounds: int, show: Callable[[float, str], None]) -> list[EncoderResult]:
    """All rounds, in which all take turns; what fails is not tried again."""
    notes = [EncoderResult(way) for way in every]
    for turn in range(rounds):
        for nth, note in enumerate(notes):
            show((turn + nth / len(notes)) / rounds, f"round {turn + 1}: {note.way.name}, {note.way.context}")
            if note.status == "ok":
                with attempt(note):
                    visit(note, given, turn)
    for note in notes:
        if note.status == "ok" and note.way.reader is None:
            peer = peer_of(note, notes)
            note.figures |= fidelity(note, peer, given)
            if peer is not None:
                pairs = zip(note.speeds, peer.speeds, strict=True)
                note.figures["times_peer"] = span([theirs / ours for ours, theirs in pairs])
    return notes


def peer_of(note: EncoderResult, notes: list[EncoderResult]) -> EncoderResult | None:
    """What a user would write in its place, over the same windows."""
    key = note.way.context, note.way.window
    others = (each for each in notes if each.way.reader is not None and each.status == "ok")
    return next((each for each in others if (each.way.context, each.way.window) == key), None)


@contextmanager
def attempt(note: EncoderResult) -> Iterator[None]:
    """What is raised within fails this way alone; what this model cannot do is missing."""
    try:
        yield
    except SettingError as error:
        note.status, note.reason = "missing", str(error)
    except Exception as error:
        note.status, note.reason = status_of(error), one_line(error)


def visit(note: EncoderResult, given: Sample, turn: int) -> None:
    """Load, warm up, read once against the clock; the first visit tells the memory too, and keeps what was read."""
    stretch = turn % len(given.text.documents()) if note.way.a_word_a_pass else None
    part = given if stretch is None else given.stretch(stretch)
    reader = note.way.build()
    pieces, begins = reader.tokenize(part.lexicon, part.text.words)

    def read() -> np.ndarray:
        return gathered(reader, pieces, begins, part.text.starts)

    few = given.stretch(0).cut(note.way.window)
    vectors(reader, Sample(few.lexicon, few.text.head(note.way.window)))
    if not note.speeds:
        note.figures["peak_mib"] = peak_mib(read, reader.model.device)
    begin = time.perf_counter()
    note.vectors[stretch] = read()
    note.speeds.append(len(part.text) / (time.perf_counter() - begin))


def fidelity(note: EncoderResult, peer: EncoderResult | None, given: Sample) -> dict[str, float]:
    """Cosines of its vectors to those of plain passes over the same windows in fp32: its peer's, or made for it."""
    stretch, mine = next(iter(note.vectors.items()))
    if peer is not None:
        theirs = peer.vectors[stretch]
    else:
        part = given if stretch is None else given.stretch(stretch)
        theirs = vectors(replace(note.way, reader=PlainReader).build(), part)
    found = cosines(mine, theirs)
    return {"cosine_to_fp32": float(found.mean()), "least_cosine_to_fp32": float(found.min())}


Compared = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


def compared(notes: list[EncoderResult], given: Sample, window: int) -> Compared | None:
    """What `drifts` is told: the cheap vectors by name, the exact ones, and those within a causal pass; None where
    there are no exact ones."""
    sound = (note for note in notes if note.status == "ok" and note.way.reader is None and note.way.window == window)
    own = {note.way.context: note for note in sound}
    exact = own.pop("prefix", None)
    if exact is None:
        return None
    reader, known = exact.way.build(), exact.vectors
    stretches = range(len(given.text.documents()))
    parts = [known[nth] if nth in known else vectors(reader, given.stretch(nth)) for nth in stretches]
    cheap = {context: note.vectors[None] for context, note in own.items()}
    cheap["the bare word"] = vectors(reader, given.alone())[given.text.words]
    return cheap, np.concatenate(parts), vectors(reader, given.cut(window))
