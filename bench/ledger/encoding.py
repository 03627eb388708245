"""One configuration -> one EncoderLedger: what reading a text costs, context by context. `cost_encoder` runs it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from bench.cell import one_line, status_of
from bench.cost import peak_mib
from bench.encoder import Encoder
from bench.errors import SettingError
from bench.ledger.clock import span
from bench.ledger.drift import cosines, drifts
from bench.ledger.files import stem
from bench.ledger.header import header
from bench.ledger.passes import EqualReader, PlainReader, Sample, Way, gathered, sample, vectors
from bench.ledger.readings import EncoderLedger, Reading
from bench.places import resolved
from bench.progress import Bar
from bench.record import told
from bench.targets import make_encoder

__all__ = ["failed", "headline", "place", "read", "run", "stands"]

read, stands = EncoderLedger.read, EncoderLedger.stands
EMBEDDED = "all-MiniLM-L6-v2"  # what null stands for
PATIENCE = ("rounds",)  # no figure's meaning


def place(config: dict[str, Any]) -> Path:
    """Where a configuration's ledger stands, without the suffix: named by all that its figures hang on."""
    kept = {"cost": {key: value for key, value in config["cost"].items() if key not in PATIENCE}}
    kept |= {"corpus": told(config["corpus"]), "seed": config["seed"]}
    kept["targets"] = {key: value for key, value in config["targets"].items() if key not in ("context", "level")}
    return stem(config, EncoderLedger.begins, kept)


def run(cfg: DictConfig) -> EncoderLedger:
    """Measure, and write the file.

    Raises:
        SettingError: settings that cannot work; nothing was written.
    """
    config = resolved(cfg)
    cost, path = config["cost"], place(config)
    if "encoder" not in config["targets"]:
        raise SettingError("targets", f"{config['targets']['name']} has no encoder to measure; choose targets=bert")
    if cost["device"] == "cuda" and not torch.cuda.is_available():
        raise SettingError("device", "torch finds no CUDA device here; use device=cpu")
    corpus = instantiate(cfg.corpus.source).trained_on(cfg.corpus.get("train_words"))
    given = sample(corpus, cost["words"])
    every = ways(config)
    with Bar(path.name) as bar:
        notes = measure(every, given, cost["rounds"], bar.note)
        bar.note(1.0, "drift")
        sound = all(note.status == "ok" for note in notes)
        drift = drifts(*compared(notes, given, cost["window"]), seed=config["seed"]) if sound else []
    ledger = EncoderLedger(
        **facts(config, every[0].encoder, len(given.text)), rows=[each.row() for each in notes], drift=drift
    )
    ledger.write(path)
    return ledger


def ways(config: dict[str, Any]) -> list[Way]:
    """Every context at `cost.window`, the default one at its own, and the peers of the two that goals are set for."""

    def way(name: str, context: str, window: int, **more: Any) -> Way:
        settings = config["targets"] | {"context": context, "window": window}
        return Way(name=name, encoder=make_encoder(settings, config["cache_dir"], config["cost"]["device"]), **more)

    few, many = config["cost"]["window"], config["targets"].get("window", 0)
    found = [way(context, context, few) for context in ("causal", "prefix", "bidirectional")]
    if many != few:
        found.append(way("causal", "causal", many))
    found.append(way("peer:plain batches", "causal", many, reader=PlainReader))
    found.append(way("peer:a forward a word, equal lengths", "prefix", few, reader=EqualReader))
    return found


@dataclass(eq=False)
class Note:
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


def measure(every: list[Way], given: Sample, rounds: int, show: Callable[[float, str], None]) -> list[Note]:
    """All rounds, in which all take turns; what fails is not tried again."""
    notes = [Note(way) for way in every]
    for turn in range(rounds):
        for nth, note in enumerate(notes):
            show((turn + nth / len(notes)) / rounds, f"round {turn + 1}: {note.way.name}, {note.way.context}")
            if note.status == "ok":
                try:
                    visit(note, given, turn)
                except Exception as error:
                    note.status, note.reason = status_of(error) or "failed", one_line(error)
    for note in notes:
        if note.status == "ok" and note.way.reader is None:
            note.figures |= fidelity(note, notes, given)
    return notes


def visit(note: Note, given: Sample, turn: int) -> None:
    """Load, warm up, read once against the clock; the first visit tells the memory too, and keeps what was read."""
    stretch = turn % len(given.text.documents()) if note.way.a_word_a_pass else None
    part = given if stretch is None else given.stretch(stretch)
    reader = note.way.build()
    pieces, begins = reader.spell(part.lexicon, part.text.words)

    def read() -> np.ndarray:
        return gathered(reader, pieces, begins, part.text.starts)

    few = given.stretch(0).cut(note.way.window)
    vectors(reader, Sample(few.lexicon, few.text.head(note.way.window)))
    if not note.speeds:
        note.figures["peak_mib"] = peak_mib(read, reader.model.device)
    begin = time.perf_counter()
    note.vectors[stretch] = read()
    note.speeds.append(len(part.text) / (time.perf_counter() - begin))


def fidelity(note: Note, notes: list[Note], given: Sample) -> dict[str, float]:
    """Cosines of its vectors to those of plain passes over the same windows in fp32: a peer's, or made for it."""
    stretch, mine = next(iter(note.vectors.items()))
    key = note.way.context, note.way.window
    peers = (each for each in notes if each.way.reader and (each.way.context, each.way.window) == key)
    theirs = next((peer.vectors[stretch] for peer in peers if stretch in peer.vectors), None)
    if theirs is None:
        part = given if stretch is None else given.stretch(stretch)
        theirs = vectors(replace(note.way, reader=PlainReader).build(), part)
    found = cosines(mine, theirs)
    return {"cosine_to_fp32": float(found.mean()), "least_cosine_to_fp32": float(found.min())}


def compared(notes: list[Note], given: Sample, window: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """What `drifts` is told: the cheap vectors by name, the exact ones, and those within a causal pass."""
    own = {note.way.context: note for note in notes if note.way.reader is None and note.way.window == window}
    exact, known = own["prefix"].way, own["prefix"].vectors
    reader = exact.build()
    stretches = range(len(given.text.documents()))
    parts = [known[nth] if nth in known else vectors(reader, given.stretch(nth)) for nth in stretches]
    cheap = {context: own[context].vectors[None] for context in ("causal", "bidirectional")}
    cheap["the bare word"] = vectors(reader, given.alone())[given.text.words]
    return cheap, np.concatenate(parts), vectors(reader, given.cut(window))


def facts(config: dict[str, Any], encoder: Encoder | None, words: int) -> dict[str, Any]:
    """What the figures of a ledger hold for."""
    cost = config["cost"]
    return {
        "encoder": str(config["targets"].get("encoder") or EMBEDDED),
        "weights_sha256": encoder and encoder.weights_sha256,
        "corpus": config["corpus"]["name"],
        "words": words,
        "window": cost["window"],
        **header(
            config,
            device=cost["device"],
            precision=encoder.precision if encoder else config["targets"].get("precision", "auto"),
            rounds=cost["rounds"],
        ),
    }


def failed(config: dict[str, Any], error: SettingError) -> EncoderLedger:
    """What stands for a sweep's job whose settings cannot work."""
    row = Reading(contender="all", status="failed", reason=str(error))
    ledger = EncoderLedger(**facts(config, None, 0), rows=[row])
    ledger.write(place(config))
    return ledger


def headline(ledger: EncoderLedger) -> str:
    """How it went, in a few words."""
    own = [row for row in ledger.rows if row.words_per_second and row.window == ledger.window]
    speeds = {row.contender: row.words_per_second[1] for row in own if not row.contender.startswith("peer:")}
    return ", ".join(f"{context} {speed:,.0f} words/s" for context, speed in speeds.items())
