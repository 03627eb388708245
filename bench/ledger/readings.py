"""What reading a text with the target encoder costs, and how far its cheap contexts are from the exact one."""

from dataclasses import dataclass, field
from typing import ClassVar

from bench.ledger.files import Ledger, Line


@dataclass(frozen=True, kw_only=True)
class Reading(Line):
    """One way to read: a `targets.context` of ours, or what a user would write instead of one."""

    context: str | None = None  # causal | prefix | bidirectional
    window: int | None = None  # words of a pass at most
    precision: str | None = None  # fp32 | bf16: what it came to
    words_per_second: list[float] | None = None  # vectors kept, a second
    peak_mib: float | None = None  # beyond the weights
    cosine_to_fp32: float | None = None  # mean, of its vectors to those of a plain pass of each window in fp32
    least_cosine_to_fp32: float | None = None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far vectors of the same words are from those of `prefix`, which reads only the words up to each."""

    vectors: str
    cosine: float  # mean
    own_nearest: float | None = None  # share whose nearest `prefix` vector is that of the same place


@dataclass(frozen=True, kw_only=True)
class EncoderLedger(Ledger):
    """One encoder on one text."""

    begins: ClassVar[str] = "encoder"

    encoder: str | None  # as `targets.encoder`
    weights_sha256: str | None
    corpus: str
    words: int  # that a round reads
    rows: list[Reading]
    drift_words: int
    drift_window: int
    drift: list[Drift] = field(default_factory=list)
