"""One run = one frozen Record <-> one JSON file, with the values a position beside it in an `.npz`.

The path is the identity: it follows from the configuration, so a cell whose record stands need not run again.
"""

import dataclasses
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.errors import SettingError

SCHEMA = 2
LEDGER = re.compile(r"v\d+-[0-9a-f]{8}")  # the stem of a cost ledger's file; a record's has more parts
OUTSIDE_IDENTITY = (
    "logger",
    "results_dir",
    "force",
    "cache_dir",
    "experiment_name",
    "checkpoint",
    "competitors",
    "trial",
    "job",
)  # settings that change no figure
POSITIONS = ("document", "word", "rank", "calibrated_rank", "nats", "raw_nats")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one run found. A figure that was not measured is None, never 0; units are in the names."""

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
    test_bytes: int | None = None
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


def identity(config: dict[str, Any]) -> str:
    """A resolved configuration -> the file stem of its record: readable parts, then a hash of all that matters."""
    part = [
        config["system"]["name"],
        config["corpus"]["name"],
        f"v{config['vocabulary']['size']}",
        f"s{config['seed']}",
    ]
    kept = {key: value for key, value in config.items() if key not in OUTSIDE_IDENTITY}
    if config["inputs"] == "learned":
        del kept["targets"]  # a head that reads them has them among its own settings
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]
    return "-".join([re.sub(r"[^\w.+]", "_", str(each)) for each in part] + [digest])


def write(record: Record, stem: Path, positions: dict[str, np.ndarray] | None = None) -> Path:
    """Put `stem`.npz (the values a position, [N] each) and then `stem`.json in place, each whole or not at all."""
    text = json.dumps(dataclasses.asdict(record), indent=1, allow_nan=False)
    beside = stem.with_name(stem.name + ".npz")
    if positions is None:
        beside.unlink(missing_ok=True)  # a run before this one may have left its own
    else:
        atomically(beside, lambda file: np.savez_compressed(file, **positions))
    return atomically(stem.with_name(stem.name + ".json"), lambda file: file.write(text.encode()))


def atomically(path: Path, put: Callable[[IO[bytes]], object]) -> Path:
    """Write into a temporary file beside `path`, then rename: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            put(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would hide a shared result
        return Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(path: Path) -> Record:
    """One JSON file -> its Record.

    Raises:
        SettingError: the file is no record, or one of another schema.
    """
    try:
        fields = json.loads(path.read_text())
        if fields["schema"] != SCHEMA:
            raise SettingError(str(path), f"has schema {fields['schema']}, this version reads {SCHEMA}; run it again")
        return Record(**fields)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(str(path), f"is not a record ({error}); delete it and run the cell again") from None


def read_positions(path: Path) -> dict[str, np.ndarray] | None:
    """The values a position of the record at `path`, by name, [N] each; None where the run has none."""
    beside = path.with_suffix(".npz")
    if not beside.is_file():
        return None
    with np.load(beside, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_all(folders: Iterable[Path]) -> list[tuple[Path, Record]]:
    """Every record in the folders and the folders in them, by path; deeper lie mirrors' files, beside them ledgers."""
    paths = sorted({path for folder in folders for depth in ("*.json", "*/*.json") for path in folder.glob(depth)})
    return [(path, read(path)) for path in paths if not LEDGER.fullmatch(path.stem)]
