"""What one head costs at one V, and the file that holds the rows of all: all that its tables are made of."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.cost.ledger import Ledger, Line


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


@dataclass(frozen=True, kw_only=True)
class Reading(Line):
    """One way to read: a `targets.context` of ours, or what a user would write instead of one."""

    context: str | None = None  # causal | prefix | bidirectional
    window: int | None = None  # words of a pass at most
    precision: str | None = None  # fp32 | bf16: what it came to
    words_per_second: list[float] | None = None  # vectors kept, a second
    times_peer: list[float] | None = None  # its time a word over that of its peer in the same round
    peak_mib: float | None = None  # beyond the weights
    cosine_to_fp32: float | None = None  # mean, of its vectors to those of a plain pass of each window in fp32
    least_cosine_to_fp32: float | None = None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far vectors of the same words are from exact ones: mean cosine, and the share whose nearest exact vector is
    that of their own place. `within`: exact over those words alone that a causal pass reads too."""

    vectors: str
    cosine: float
    own_nearest: float | None = None
    cosine_within: float
    own_nearest_within: float | None = None


@dataclass(frozen=True, kw_only=True)
class EncoderLedger(Ledger):
    """One encoder on one text."""

    begins: ClassVar[str] = "encoder"

    encoder: str  # what it was loaded from, in short
    weights_sha256: str | None
    corpus: str
    words: int  # measured on
    window: int  # of those whose drift is told
    rows: list[Reading]
    drift: list[Drift] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Loop(Line):
    """One system, whole: trunk, head and optimiser. Times are of 1,000 words, but for the last three."""

    bare_ms: list[float] | None = None  # batch, forward, backward, clipping, update in a plain loop
    trainer_ms: list[float] | None = None  # the same by Lightning's Trainer, without logger or other callbacks
    default_ms: list[float] | None = None  # by this project's training: all that follows, each as often as it is due
    steps_ms: list[float] | None = None  # of it all between two steps, but looks, rows and checkpoints
    data_ms: list[float] | None = None  # of these waiting for the next batch
    trainer_ratio: list[float] | None = None  # to the bare loop of the same round
    default_ratio: list[float] | None = None
    look_share: list[float] | None = None  # of the bare loop's time
    log_share: list[float] | None = None
    checkpoint_share: list[float] | None = None
    data_share: list[float] | None = None
    look_ms: list[float] | None = None  # one look at validation
    log_ms: list[float] | None = None  # one row for the logger
    checkpoint_ms: list[float] | None = None  # writing one


@dataclass(frozen=True, kw_only=True)
class LoopLedger(Ledger):
    """The loops in turns, on one text at one V."""

    begins: ClassVar[str] = "loop"

    corpus: str
    vocabulary_size: int
    backbone: str
    hidden_size: int
    words: int  # that each loop trains on in a round
    budget: str  # that looks are spread over
    looks: int
    checkpoint_seconds: float
    logger: str
    logger_start_seconds: list[float]  # and end, each time: the first starts its service, which others then share
    rows: list[Loop]
