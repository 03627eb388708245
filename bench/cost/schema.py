"""Kinds of cost ledger and their rows: the source of all cost tables."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench.core.errors import SettingError
from bench.core.record import ledger_kind
from bench.cost.ledger import Ledger, LedgerRow


@dataclass(frozen=True, kw_only=True)
class HeadRow(LedgerRow):
    """Costs of one head at one V; None for an operation that the contender does not have."""

    part: str  # head | model
    vocabulary_size: int
    reads_targets: bool = False  # needs word vectors, usually from an encoding of the text
    identity: str | None = None  # hashes of the head's configuration and sources; None for baselines
    measured_at: str | None = None  # for a row taken over from an earlier ledger: end of that ledger's rounds

    step_ms: list[float] | None = None  # forward and backward pass of `positions` positions
    adam_ms: list[float] | None = None  # Adam's update after a step: all rows or touched rows, as the contender trains
    sgd_ms: list[float] | None = None
    decode_1_ms: list[float] | None = None  # exact top 10 of 1 query
    decode_256_ms: list[float] | None = None
    rank_256_ms: list[float] | None = None  # rank of the true word, 256 queries

    peak_mib: float | None = None  # of a step, beyond the weights
    weights_mib: float | None = None  # parameters and tables
    adam_mib: float | None = None  # the optimiser's state
    parameters: int | None = None
    flops_per_position: float | None = None  # of a step
    peak_share: float | None = None  # FLOP/s of the step over the machine's matmul peak in the same rounds
    # rows of {index, build_s, recall_at_1, recall_at_10, decode_1_ms, decode_256_ms, reason}
    approximate: list[dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class HeadLedger(Ledger):
    """Costs of all heads and baselines at one V."""

    prefix: ClassVar[str] = "v"  # followed by V

    vocabulary_size: int
    positions: int
    hidden_size: int
    target_size: int
    peak_gflops: list[float]  # span of a large matrix product over the same rounds
    rows: list[HeadRow]
    kind: Literal["head"] = "head"


@dataclass(frozen=True, kw_only=True)
class EncoderRow(LedgerRow):
    """Costs of one way to encode a text: a `targets.context`, or a baseline as a user would write it."""

    context: str | None = None  # causal | prefix | bidirectional
    window: int | None = None  # words per pass at most
    precision: str | None = None  # fp32 | bf16, as resolved on the machine
    words_per_second: list[float] | None = None  # number of kept vectors per second
    times_peer: list[float] | None = None  # time per word over that of the baseline in the same round; below 1: faster
    peak_mib: float | None = None  # beyond the weights
    cosine_to_fp32: float | None = None  # mean cosine to the vectors of a separate fp32 pass over each window
    least_cosine_to_fp32: float | None = None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Distance of approximate vectors from exact vectors of the same words.

    `own_nearest` is the share of vectors whose nearest exact vector is that of the same position. The figures that
    end in `_within` compare with exact vectors over those words alone that a causal pass reads too.
    """

    vectors: str
    cosine: float
    own_nearest: float | None = None
    cosine_within: float
    own_nearest_within: float | None = None


@dataclass(frozen=True, kw_only=True)
class EncoderLedger(Ledger):
    """Costs of one encoder on one text."""

    prefix: ClassVar[str] = "encoder"

    encoder: str  # short name of the model that was loaded
    weights_sha256: str | None
    corpus: str
    words: int  # number of words measured on
    window: int  # of the vectors whose drift is reported
    rows: list[EncoderRow]
    drift: list[Drift] = field(default_factory=list)
    kind: Literal["encoder"] = "encoder"


@dataclass(frozen=True, kw_only=True)
class LoopRow(LedgerRow):
    """Costs of training one whole system (trunk, head, optimiser). Times are per 1,000 words, except the last three."""

    bare_ms: list[float] | None = None  # batch, forward, backward, clipping and update in a plain loop
    trainer_ms: list[float] | None = None  # the same steps by Lightning's Trainer, without logger or other callbacks
    default_ms: list[float] | None = None  # this project's training, with validation, logging and checkpoints when due
    steps_ms: list[float] | None = None  # the part of default_ms between steps, without these three
    data_ms: list[float] | None = None  # the part of steps_ms spent waiting for the next batch
    trainer_ratio: list[float] | None = None  # to the bare loop of the same round
    default_ratio: list[float] | None = None
    look_share: list[float] | None = None  # time of validation over the bare loop's time
    log_share: list[float] | None = None
    checkpoint_share: list[float] | None = None
    data_share: list[float] | None = None
    look_ms: list[float] | None = None  # one validation
    log_ms: list[float] | None = None  # one row for the logger
    checkpoint_ms: list[float] | None = None  # writing one checkpoint


@dataclass(frozen=True, kw_only=True)
class LoopLedger(Ledger):
    """Costs of the three training loops on one text at one V."""

    prefix: ClassVar[str] = "loop"

    corpus: str
    vocabulary_size: int
    backbone: str
    hidden_size: int
    words: int  # number of words that each loop trains on in a round
    budget: str  # over which validations are spread
    looks: int  # number of validations
    checkpoint_seconds: float
    logger: str
    logger_start_seconds: list[float]  # start and end of the logger, each time; the first starts a shared service
    rows: list[LoopRow]
    kind: Literal["loop"] = "loop"


@dataclass(frozen=True, kw_only=True)
class StepRow(LedgerRow):
    """One step of a reference run; `slow`: stopped at its time limit, or not started; `missing`: left out."""

    command: list[str]  # arguments of `python -m bench`
    estimate_seconds: float
    seconds: float | None = None  # None if it was not started


@dataclass(frozen=True, kw_only=True)
class StepLedger(Ledger):
    """Steps of a reference run on one device, and how each ended."""

    prefix: ClassVar[str] = "steps"

    limit_seconds: float  # of all steps together
    rows: list[StepRow]
    kind: Literal["steps"] = "steps"


LEDGERS: tuple[type[Ledger], ...] = (HeadLedger, EncoderLedger, LoopLedger, StepLedger)


def ledger_class(path: Path) -> type[Ledger] | None:
    """Return the class of the ledger that a file holds; None if the file is a record.

    Raises:
        SettingError: the file is a ledger of a kind that this version does not know.
    """
    kind = ledger_kind(path)
    if kind is None:
        return None
    for ledger in LEDGERS:
        if kind in (ledger.kind, ledger.prefix):
            return ledger
    known = ", ".join(ledger.kind for ledger in LEDGERS)
    raise SettingError(str(path), f"is no kind of ledger that this version knows ({known}); move it away")
