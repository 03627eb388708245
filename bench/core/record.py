"""One run = one frozen Record <-> one JSON file, with the values a position beside it in an `.npz`.

The path is the identity: it follows from the configuration, so a cell whose record stands need not run again.
"""

import dataclasses
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from bench.core.errors import SettingError
from bench.core.files import write_atomically
from bench.core.history import current
from bench.core.identity import identity
from bench.core.secrets import scrub

SCHEMA = 2

LEDGER = re.compile(r"[a-z]+\d*-[0-9a-f]{8}")  # the stem of a cost ledger's file; a record's has more parts

ELSEWHERE = "move it away, or run its cell again by force=true"

POSITIONS = ("document", "word", "rank", "calibrated_rank", "nats", "raw_nats")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one run found. A figure that was not measured is None, never 0; units are in the names."""

    __pydantic_config__ = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    # which cell
    experiment: str
    system: str  # the name in the tables
    head: str | None  # class of the output head; None for a model that brings its own
    backbone: str | None
    corpus: str
    vocabulary_size: int
    seed: int
    status: str = "ok"  # ok | oom | diverged | failed
    reason: str | None = None  # of a status that is not ok, one line

    # quality on the test split: bench/evaluation/metrics.py says what each means
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
    ranked_words: int | None = None  # test words that accuracies and ranks were measured on
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
    brier_n: list[float] | None = None  # its four factors; it is undefined where one is not positive
    validation_nats: float | None = None  # open, calibrated: what settings are chosen by, never by test
    entropy_rate_bits: float | None = None  # a word, of the language that the corpus was drawn from, where known
    blocks: dict[str, list[float]] = field(default_factory=dict)  # sums a block of test documents: for intervals
    is_density: bool | None = None  # False: the raw perplexity is a proxy
    calibration_scale: float | None = None  # a in softmax(a * score + b * log unigram)
    calibration_prior: float | None = None  # b

    # cost
    trained_words: int | None = None
    train_seconds: float | None = None  # of training steps alone, validation left out
    cpu_share: float | None = None  # of train_seconds that the training thread had a processor; training on a CPU only
    train_ms_per_1k: float | None = None  # the whole model, 1,000 positions, optimiser included
    head_train_ms_per_1k: float | None = None  # the head alone
    decode_ms_1: float | None = None  # top 10 of the head for 1 query
    decode_ms_256: float | None = None
    peak_mib: float | None = None
    parameters: int | None = None
    flops_per_position: float | None = None  # a training step of the whole model
    head_flops_per_position: float | None = None
    encode_seconds: float | None = None  # what the target encoding took when it was made, cached or not

    # the way there: rows of {words, seconds, flops, validation_nats, validation_accuracy_at_1}
    curve: list[dict[str, float]] = field(default_factory=list)
    generations: list[dict[str, str]] = field(default_factory=list)  # rows of {prompt, greedy, sampled}

    # what reproduces it
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    device: str | None = None
    git_commit: str | None = None
    corpus_sha256: str | None = None
    weights_sha256: str | None = None  # of the target encoder or the pre-trained model
    finished_at: str | None = None  # ISO 8601, UTC
    schema: int = SCHEMA


FIELDS = pydantic.TypeAdapter(Record)


def record_json(record: Record) -> str:
    """What its file holds."""
    return json.dumps(dataclasses.asdict(record), indent=1, allow_nan=False)


def write_record(record: Record, stem: Path, positions: dict[str, np.ndarray] | None = None) -> Path:
    """Put `stem`.npz (the values a position, [N] each) and then `stem`.json in place, each whole or not at all."""
    if record.reason is not None:
        record = dataclasses.replace(record, reason=scrub(record.reason))
    text = record_json(record)
    beside = stem.with_name(stem.name + ".npz")
    if positions is None:
        beside.unlink(missing_ok=True)  # a run before this one may have left its own
    else:
        write_atomically(beside, lambda file: np.savez_compressed(file, **positions))
    return write_atomically(stem.with_name(stem.name + ".json"), lambda file: file.write(text.encode()))


def read_record(path: Path) -> Record:
    """One JSON file -> its Record.

    Raises:
        SettingError: the file is no record, or one of another schema.
    """
    try:
        return parse_record(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(str(path), f"cannot be read ({error}); {ELSEWHERE}") from None


def parse_record(text: str, path: Path) -> Record:
    """JSON -> the Record, whose every field has the type that it says.

    Args:
        path: what an error names.

    Raises:
        SettingError: it is no record, or one of another schema.
    """
    try:
        schema = json.loads(text)["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SettingError(str(path), f"is not a record ({type(error).__name__}: {error}); {ELSEWHERE}") from None
    if schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        remedy = "update this program, or give another results_dir" if newer else "run its cell again by force=true"
        raise SettingError(str(path), f"has schema {schema}, this version reads {SCHEMA}; {remedy}")
    try:
        record = FIELDS.validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SettingError(str(path), f"is not a record ({where}: {first['msg']}); {ELSEWHERE}") from None
    return dataclasses.replace(record, config=current(record.config))


def finished(path: Path) -> bool:
    """Whether the record of a cell that went well is there, so that the cell need not run again.

    Raises:
        SettingError: what is there is no record, or that of other settings than its name says.
    """
    if not path.is_file():
        return False
    record = read_record(path)
    if identity(record.config) != path.stem:
        raise SettingError(str(path), f"holds other settings than its name says; {ELSEWHERE}")
    return record.status == "ok"


def replaceable(path: Path) -> bool:
    """Whether a failure may be written there: over nothing, or over the failure of an earlier run."""
    try:
        return not finished(path)
    except SettingError:
        return False


def read_positions(path: Path) -> dict[str, np.ndarray] | None:
    """The values a position of the record at `path`, by name, [N] each; None where the run has none."""
    beside = path.with_suffix(".npz")
    if not beside.is_file():
        return None
    try:
        with np.load(beside, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SettingError(str(beside), f"holds no plain arrays ({error}); delete it and run the cell again") from None


def read_records(folders: Iterable[Path]) -> list[tuple[Path, Record]]:
    """Every record in the folders and the folders in them, by path; deeper lie mirrors' files, beside them ledgers."""
    paths = sorted({path for folder in folders for depth in ("*.json", "*/*.json") for path in folder.glob(depth)})
    return [(path, read_record(path)) for path in paths if not LEDGER.fullmatch(path.stem)]
