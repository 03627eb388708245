"""Vocabulary -> what the regressors aim at and decode by: a row a word, and the vectors of its occurrences.

N training words, V ids, D embedding size.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.core.errors import SettingError
from bench.core.settings import Place, Seed, Width
from bench.data.vocabulary import Vocabulary
from bench.targets.encoder import Encoder

BLOCK = 1 << 15  # vectors in memory at once

FLAT = 1e-3  # a direction whose variance is a smaller share of the mean one is left out, not blown up


class Reading(TypedDict):
    """An encoder's source, and how `bench.targets.encoder.Encoder` reads a text with it."""

    encoder: Place | None
    context: Literal["causal", "prefix", "bidirectional"]
    window: Annotated[int, Field(ge=1, le=2**20)]
    layer: Annotated[int, Field(ge=-1000, le=1000)]
    pooling: Literal["mean", "first", "last"]
    special_tokens: Literal["cls", "both", "none"]
    precision: Literal["auto", "bf16", "fp32"]


class Targets:
    """The table that decoding ranks, and what training aims at: its rows, or the vector of each occurrence.

    Attributes:
        name: in the tables.
        table: a row an id, in the space that `transform` leads to. [V, D] float32
        level: `token` where training aims at occurrences, `type` where it aims at rows.
        vectors: of the training words, as the encoder gave them; None at level `type`. [N, D] float16
        encoder: None for targets that read no text; so are the next two.
        encode_seconds: what encoding the training words took, be it now or when the cache was filled.
        weights_sha256: the encoder's.
    """

    vectors: np.ndarray | None = None
    encoder: Encoder | None = None
    encode_seconds: float | None = None
    weights_sha256: str | None = None

    def __init__(
        self,
        name: str,
        level: str,
        rows: Tensor,
        *,
        offset: Tensor | None = None,
        mixing: Tensor | None = None,
        normalise: bool = False,
    ):
        self.name, self.level, self.normalise = name, level, normalise
        self.offset, self.mixing = offset, mixing  # [D], [D, D]
        self.table = self.transform(rows)

    def transform(self, vectors: np.ndarray | Tensor) -> Tensor:
        """An encoder's vectors -> the table's space. [..., D] -> [..., D] float32"""
        if isinstance(vectors, np.ndarray):
            vectors = torch.from_numpy(vectors.astype(np.float32))
        if self.offset is not None:
            vectors = vectors - self.offset
        if self.mixing is not None:
            vectors = vectors @ self.mixing
        return F.normalize(vectors, dim=-1) if self.normalise else vectors

    def flops_per_position(self) -> int:
        """Of bringing one vector into the table's space; a multiply-add is 2."""
        return 0 if self.mixing is None else 2 * self.mixing.numel()

    def at(self, positions: np.ndarray) -> Tensor:
        """What training aims at in these places of the training text, at level `token`. [...] -> [..., D]"""
        return self.transform(self.vectors[positions])


def bert(
    *,
    name: str,
    vocabulary: Vocabulary,
    cache_dir: str,
    level: Literal["token", "type"],
    centre: bool,
    whiten: bool,
    normalise: bool,
    **reading: Unpack[Reading],
) -> Targets:
    """A row is the mean of its word's vectors in the training text; `<unk>`'s, that of all words it replaces.

    Args:
        level: `token` (the vector of that occurrence) or `type` (the row).
        centre: subtract the mean vector of the training words.
        whiten: give them variance 1 in every direction in which they vary (ZCA: rotated back).
        normalise: to unit length, after these: a mean's length tells how often and how variously its word is used, and
            would outweigh its direction in every squared distance.

    Raises:
        SettingError: no such level, or a setting that the encoder refuses.
    """
    if level not in ("token", "type"):
        raise SettingError("targets.level", f"{level} is not one of token, type")
    encoder = make_encoder(reading, cache_dir)
    encoded = encoder.encode(vocabulary.corpus, "train")
    ids = vocabulary.encode(vocabulary.corpus.train.words)
    sums, squares = moments(encoded.vectors, ids, len(vocabulary), squared=whiten)
    mean = sums.sum(0, dtype=torch.float64) / len(ids)
    targets = Targets(
        name,
        level,
        sums / torch.from_numpy(vocabulary.counts)[:, None],
        offset=mean.float() if centre else None,
        mixing=whitening(squares / len(ids) - torch.outer(mean, mean)) if whiten else None,
        normalise=normalise,
    )
    targets.vectors = encoded.vectors if level == "token" else None
    targets.encoder, targets.encode_seconds = encoder, encoded.seconds
    targets.weights_sha256 = encoder.weights_sha256
    return targets


def make_encoder(settings: Mapping[str, Any], cache_dir: str, device: str | None = None) -> Encoder:
    """The Encoder that a configuration's `targets` describe: `inputs=contextual` reads it under any head.

    Raises:
        SettingError: these targets have no encoder, or it refuses a setting.
    """
    if "encoder" not in settings:
        raise SettingError("inputs", "contextual inputs need targets with an encoder; choose targets=bert")
    source, *reading = Reading.__annotations__
    return Encoder(settings[source], cache_dir=cache_dir, device=device, **{key: settings[key] for key in reading})


def moments(vectors: np.ndarray, ids: np.ndarray, size: int, *, squared: bool) -> tuple[Tensor, Tensor]:
    """Sums by id [V, D] float32 and, where asked for, of outer products [D, D] float64, block by block."""
    width = vectors.shape[1]
    sums, squares = torch.zeros(size, width), torch.zeros(width, width, dtype=torch.float64)
    for start in range(0, len(vectors), BLOCK):
        block = torch.from_numpy(vectors[start : start + BLOCK].astype(np.float32))
        sums.index_add_(0, torch.from_numpy(ids[start : start + BLOCK]), block)
        if squared:
            squares += block.T @ block
    return sums, squares


def whitening(covariance: Tensor) -> Tensor:
    """The symmetric inverse square root, 0 where the covariance is flat. [D, D] float64 -> [D, D] float32"""
    variances, directions = torch.linalg.eigh(covariance)
    varied = variances > FLAT * variances.mean()
    kept = directions[:, varied]
    return (kept / variances[varied].sqrt() @ kept.T).float()


def random(*, name: str, vocabulary: Vocabulary, cache_dir: str, level: str, dimension: Width, seed: Seed) -> Targets:
    """Gaussian rows: the control in which no word is nearer to one than to another.

    Args:
        cache_dir: not used; all targets are built with one.
        level: `type`: there are no occurrences to aim at.

    Raises:
        SettingError: another level, or no dimension.
    """
    if level != "type":
        raise SettingError("targets.level", f"random targets have no {level} vectors; use targets.level=type")
    if dimension < 1:
        raise SettingError("targets.dimension", f"{dimension} is not positive")
    generator = torch.Generator().manual_seed(seed)
    return Targets(name, level, torch.randn(len(vocabulary), dimension, generator=generator))
