"""One vocabulary size = one frozen Ledger <-> one JSON file: every contender, measured in the same interleaved rounds.

Spans are [p20, p50, p80] over the rounds; None is what was not measured, or what a contender does not do.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import SettingError
from bench.record import LEDGER, atomically

SCHEMA = 1
PEER = "peer:"  # before the name of a contender of another library


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one contender costs at one V."""

    contender: str  # the system's name, or "peer:linear + cross_entropy"
    part: str  # head | model
    vocabulary_size: int
    status: str = "ok"  # ok | oom | failed | missing: a package or a device that is not there
    reason: str | None = None
    step_ms: list[float] | None = None  # forward and backward of `positions` positions
    adam_ms: list[float] | None = None  # the optimiser's update after it, in the contender's own form
    sgd_ms: list[float] | None = None
    decode_1_ms: list[float] | None = None  # exact top 10, 1 query
    decode_256_ms: list[float] | None = None
    rank_256_ms: list[float] | None = None  # rank of the true word, 256 queries
    peak_mib: float | None = None  # of the step, beyond weights, by the allocator's account
    weights_mib: float | None = None  # parameters and tables held
    adam_mib: float | None = None  # optimiser state
    parameters: int | None = None
    flops_per_position: float | None = None  # of the step
    peak_share: float | None = None  # FLOP/s of the step over the machine's matmul peak of the same rounds
    approximate: list[dict[str, Any]] | None = None  # {index, build_s, recall_at_1, recall_at_10, decode_…_ms: spans}


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Every contender at one V, and what they were measured on."""

    experiment: str
    vocabulary_size: int
    positions: int
    hidden_size: int
    target_size: int
    device: str
    precision: str
    threads: int
    rounds: int
    peak_gflops: list[float]  # the machine's matmul peak, a span
    rows: list[Row]
    encoder: dict[str, float] | None = None  # words a second of the target encoder, by `targets.context`
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    finished_at: str | None = None  # ISO 8601, UTC
    schema: int = SCHEMA


def write(ledger: Ledger, path: Path) -> Path:
    """Put the JSON file in place, whole or not at all."""
    text = json.dumps(dataclasses.asdict(ledger), indent=1, allow_nan=False)
    return atomically(path, lambda file: file.write(text.encode()))


def read(path: Path) -> Ledger:
    """One JSON file -> its Ledger.

    Raises:
        SettingError: the file is no ledger, or one of another schema.
    """
    try:
        fields = json.loads(path.read_text())
        if fields["schema"] != SCHEMA:
            raise SettingError(str(path), f"has schema {fields['schema']}, this version reads {SCHEMA}; run it again")
        return Ledger(**fields | {"rows": [Row(**row) for row in fields["rows"]]})
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(str(path), f"is not a cost ledger ({error}); delete it and run it again") from None


def read_all(folders: Iterable[Path]) -> list[Ledger]:
    """Every ledger in the folders and the folders in them, by path."""
    paths = sorted({path for folder in folders for depth in ("", "*/") for path in folder.glob(f"{depth}v*.json")})
    return [read(path) for path in paths if LEDGER.fullmatch(path.stem)]
