"""Record of one cell: one flat JSON file, and the values per test position beside it in an `.npz`.

The path follows from the configuration, so a cell whose record exists need not run again.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pydantic

from bench.core.errors import SettingError
from bench.core.files import file_sha256, write_atomically
from bench.core.identity import identity
from bench.core.secrets import scrub
from bench.core.stored_result import REMEDY, StoredResult, json_files

SCHEMA = 2

LEDGER = re.compile(r"[a-z]+\d*-[0-9a-f]{8}")  # stem of a cost ledger's file; the stem of a record has more parts

MEASURED_LATER = ("diagnosis", "generation_quality")  # fields that python -m bench.diagnose adds to a finished record

SLOWED = 0.75  # least `cpu_share` of an undisturbed run; a quiet machine gives .9 to 1, one competing process about .5

POSITIONS = ("document", "word", "rank", "calibrated_rank", "nats", "raw_nats")


def is_read_again(words: float, text: float) -> bool:
    """True if training on `words` words reads a text of `text` words again; a text up to 2 % shorter does not count."""
    return text < 0.98 * words


@dataclass(frozen=True, kw_only=True)
class Record(StoredResult):
    """Result of one cell. A figure that was not measured is None, never 0; units are in the field names."""

    noun: ClassVar[str] = "record"
    __pydantic_config__ = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    # identifies the cell
    experiment: str
    system: str  # the name in the tables
    head: str | None  # class of the output head; None for a model that brings its own
    backbone: str | None
    corpus: str
    vocabulary_size: int | None  # null: the setting is null, and the cell failed before types were counted
    seed: int
    status: str = "ok"  # ok | oom | diverged | failed
    reason: str | None = None  # of a status that is not ok, one line

    # quality on the test split; bench/evaluation/quality.py defines each figure
    coverage: float | None = None
    test_words: int | None = None
    test_bytes: int | None = None  # of the words, with one separator per word
    test_raw_bytes: int | None = None  # of the test text as its owner wrote it; None if the corpus does not know it
    accuracy_at_1: float | None = None
    accuracy_at_5: float | None = None
    accuracy_at_10: float | None = None
    mrr_at_10: float | None = None
    calibrated_accuracy_at_1: float | None = None
    calibrated_accuracy_at_5: float | None = None
    calibrated_accuracy_at_10: float | None = None
    calibrated_mrr_at_10: float | None = None
    ranked_words: int | None = None  # number of test words behind accuracies and ranks
    accuracy_by_decile: list[float] | None = None  # @1, test words from the most frequent tenth to the rarest
    word_perplexity: float | None = None
    bits_per_byte: float | None = None
    bits_per_raw_byte: float | None = None  # the same nats over test_raw_bytes
    bits_per_word: float | None = None  # log2 of word_perplexity
    closed_perplexity: float | None = None
    raw_closed_perplexity: float | None = None
    rank_perplexity: float | None = None
    brier: float | None = None
    brier_lm: float | None = None
    brier_n: list[float] | None = None  # the four factors of brier_lm, which is None if a factor is not positive
    validation_nats: float | None = None  # open, calibrated; settings are chosen by this figure, never by a test figure
    entropy_rate_bits: float | None = None  # per word, of the language that a synthetic corpus was drawn from
    blocks: dict[str, list[float]] = field(default_factory=dict)  # sums per block of test documents, for intervals
    is_density: bool | None = None  # False: the raw perplexity is a proxy
    calibration_scale: float | None = None  # a in softmax(a * score + b * log unigram)
    calibration_prior: float | None = None  # b

    # cost
    text_words: int | None = None  # length of the training text; floors, speller and prior count all of it
    trained_words: int | None = None  # words of training steps; more than text_words if the text was read again
    train_seconds: float | None = None  # training steps alone, without validation
    cpu_share: float | None = None  # of train_seconds that the training thread had a processor; training on a CPU only
    train_ms_per_1k: float | None = None  # whole model per 1,000 positions, with the optimiser
    head_train_ms_per_1k: float | None = None  # head alone, per 1,000 positions
    decode_ms_1: float | None = None  # top 10 of the head, 1 query
    decode_ms_256: float | None = None
    peak_mib: float | None = None
    parameters: int | None = None
    flops_per_position: float | None = None  # training step of the whole model
    head_flops_per_position: float | None = None
    encode_seconds: float | None = None  # time of the target encoding when it was computed, even if it is cached now

    # learning curve: rows of {words, seconds, flops, validation_nats, validation_accuracy_at_1}
    curve: list[dict[str, float]] = field(default_factory=list)
    generations: list[dict[str, str]] = field(default_factory=list)  # rows of {prompt, greedy, sampled}

    # measured later from kept weights by `python -m bench.diagnose`; docs/metrics.md defines each figure
    diagnosis: dict[str, Any] | None = None  # of a regressor: where its distance to a reference is lost
    generation_quality: dict[str, Any] | None = None  # of generated text, beside real text

    # reproduces the cell
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    device: str | None = None
    cells_at_once: int | None = None  # above 1: cells shared the machine, so the times are slower; None: not known
    git_commit: str | None = None
    source_sha256: str | None = None  # of the code that the cell used, or that trained the weights which it loaded
    corpus_sha256: str | None = None
    weights_sha256: str | None = None  # of the target encoder or the pre-trained model
    finished_at: str | None = None  # ISO 8601, UTC
    schema: int = SCHEMA

    def without_secrets(self) -> Self:
        """Return the record with secrets removed from its reason, which may quote another library's error."""
        return self if self.reason is None else dataclasses.replace(self, reason=scrub(self.reason))

    def check_name(self, path: Path) -> None:
        """Check that the file name is the identity of the record's configuration.

        Raises:
            SettingError: it is the identity of other settings.
        """
        if identity(self.config) != path.stem:
            raise SettingError(str(path), f"holds other settings than its name says; {REMEDY}")


def write_record(record: Record, stem: Path, positions: dict[str, np.ndarray] | None = None) -> Path:
    """Write `stem`.npz (the values per position, [N] each) and then `stem`.json, each whole or not at all.

    Raises:
        ValueError: a figure is not finite; nothing was written.
        SettingError: the folder cannot be written.
    """
    record.json()  # raises before the positions are written
    beside = stem.with_name(f"{stem.name}.npz")
    if positions is None:
        beside.unlink(missing_ok=True)  # an earlier run may have left its positions
    else:
        write_atomically(beside, lambda file: np.savez_compressed(file, **positions))
    return record.write(stem)


def targets_sha256(path: str) -> str | None:
    """Return the hash of a file of targets; None if there is no such file.

    A record (.json) stands for the weights beside it: its hash leaves out the fields that are measured later.
    """
    file = Path(path).expanduser()
    if file.suffix != ".json" or not file.is_file():
        return file_sha256(path)
    try:
        fields = dict(json.loads(file.read_bytes()))
    except (ValueError, TypeError):  # reading it as a record gives the reason
        return file_sha256(path)
    kept = {name: value for name, value in fields.items() if name not in MEASURED_LATER}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def read_records(folders: Iterable[Path]) -> list[tuple[Path, Record]]:
    """Read every record in the folders and in their direct subfolders, sorted by path; cost ledgers are left out."""
    return [(path, Record.read(path)) for path in json_files(folders) if ledger_kind(path) is None]


def ledger_kind(path: Path) -> str | None:
    """Return the kind of cost ledger that a file holds, from its field `kind`; None for a record.

    Ledgers published before that field are recognised by their file name: `v1000-22a7e4fb` has the kind `v`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kind = content.get("kind")
    except (OSError, ValueError, AttributeError, RecursionError):
        kind = None  # reading the file as a record or as a ledger gives the error its text
    if isinstance(kind, str):
        return kind
    return path.stem.rpartition("-")[0].rstrip("0123456789") if LEDGER.fullmatch(path.stem) else None
