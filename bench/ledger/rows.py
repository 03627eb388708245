"""What one head costs at one V, and the file that holds the rows of all: all that its tables are made of."""

from dataclasses import dataclass
from typing import Any, ClassVar

from bench.ledger.files import Ledger, Line


@dataclass(frozen=True, kw_only=True)
class Row(Line):
    """One contender: a system's name, or `peer:…`. None: not measured, or it has no such act."""

    part: str  # head | model
    vocabulary_size: int
    reads_targets: bool = False  # needs word vectors, and as a rule an encoding first

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
class HeadLedger(Ledger):
    """All contenders at one V."""

    begins: ClassVar[str] = "v"  # and the V

    vocabulary_size: int
    positions: int
    hidden_size: int
    target_size: int
    peak_gflops: list[float]  # of a large matrix product, a span over the same rounds
    rows: list[Row]
