"""What one contender costs at one V, and the file that holds the rows of all: all that tables are made of."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import SettingError
from bench.record import atomically

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contender. Spans are [p20, p50, p80] over interleaved rounds; None: not measured, or it has no such act."""

    contender: str  # a system's name, or `peer:…`
    part: str  # head | model
    vocabulary_size: int
    reads_targets: bool = False  # needs word vectors, and as a rule an encoding first
    status: str = "ok"  # ok | oom | failed | missing (a package or a device that is not there)
    reason: str | None = None  # of a status that is not ok, one line

    step_ms: list[float] | None = None  # forward and backward of `positions` positions
    adam_ms: list[float] | None = None  # the update after it, in the contender's own form: dense or of a few rows
    sgd_ms: list[float] | None = None
    decode_1_ms: list[float] | None = None  # exact top 10 of 1 query
    decode_256_ms: list[float] | None = None
    rank_256_ms: list[float] | None = None  # the rank of the true word, 256 queries

    peak_mib: float | None = None  # of a step, beyond the weights
    weights_mib: float | None = None  # parameters and tables
    adam_mib: float | None = None  # the optimiser's state
    parameters: int | None = None
    flops_per_position: float | None = None  # of a step
    peak_share: float | None = None  # FLOP/s of the step over the machine's matmul peak of the same rounds
    # rows of {index, build_s, recall_at_1, recall_at_10, decode_1_ms, decode_256_ms, reason}
    approximate: list[dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All contenders at one V: one file."""

    experiment: str
    vocabulary_size: int
    positions: int
    hidden_size: int
    target_size: int
    device: str
    precision: str
    threads: int
    rounds: int
    peak_gflops: list[float]  # of a large matrix product, a span over the same rounds
    rows: list[Row]
    encoder: dict[str, float] | None = None  # words a second of the target encoder, by `targets.context`
    config: dict[str, Any]
    versions: dict[str, str]
    git_commit: str | None
    finished_at: str
    schema: int = SCHEMA

    @property
    def status(self) -> str:
        """`failed` where a row is: what is out of memory or missing is a finding."""
        return "failed" if any(row.status == "failed" for row in self.rows) else "ok"

    @property
    def reason(self) -> str | None:
        """Of all failed rows, one line."""
        return "; ".join(f"{row.contender}: {row.reason}" for row in self.rows if row.status == "failed") or None


def write(ledger: Ledger, path: Path) -> Path:
    """Whole or not at all."""
    text = json.dumps(dataclasses.asdict(ledger), indent=1, allow_nan=False)
    return atomically(path, lambda file: file.write(text.encode()))


def stands(path: Path) -> bool:
    """Need this job not run again?"""
    return path.is_file() and read(path).status == "ok"


def read(path: Path) -> Ledger:
    """One JSON file -> its Ledger.

    Raises:
        SettingError: the file is no ledger, or one of another schema.
    """
    try:
        fields = json.loads(path.read_text())
        if fields["schema"] != SCHEMA:
            raise SettingError(str(path), f"has schema {fields['schema']}, this version reads {SCHEMA}; run it again")
        return Ledger(**{**fields, "rows": [Row(**row) for row in fields["rows"]]})
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(str(path), f"is not a ledger ({error}); delete it and run the job again") from None
