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
