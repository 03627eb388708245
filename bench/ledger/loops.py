"""What a training loop costs beside its steps: one file, all systems that were trained in it."""

from dataclasses import dataclass
from typing import ClassVar

from bench.ledger.files import Ledger, Line


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
