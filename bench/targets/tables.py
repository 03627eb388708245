"""Target tables of the regressors: a row per word to decode by, and the vectors of its occurrences to train on.

N training words, V ids, D embedding size.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BeforeValidator
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.vocabulary import Vocabulary
from bench.targets.encoder import Encoder, EncoderSettings
from bench.targets.moments import training_moments

BLOCK = 1 << 15  # rows added at a time; bounds memory

FLAT = 1e-3  # directions with a smaller share of the mean variance are dropped: whitening would amplify their noise


def only_types(level: Any) -> Any:
    """Return the level of targets whose vectors belong to words; pydantic's own message would not give the reason.

    Raises:
        ValueError: another level.
    """
    if level != "type":
        raise ValueError("'type', these targets have no vectors of occurrences")
    return level


TypeLevel = Annotated[Literal["type"], BeforeValidator(only_types)]


class Targets:
    """Target table: decoding ranks its rows; training regresses onto the rows or onto each occurrence's vector.

    Attributes:
        name: name in the report's tables.
        table: a row per id, transformed as `transform` does. [V, D] float32
        level: `token` if training regresses onto the vectors of occurrences, `type` if it regresses onto the rows.
        vectors: the encoder's vectors of the training words, not transformed; None at level `type`. [N, D] float16
        encoder: None for targets without an encoder.
        encode_seconds: time that encoding the training words took when the cache was filled; None without an encoder.
        weights_sha256: sha256 of the encoder's weights, or of the file that `static` has read; None for other targets.
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
        """Centre, whiten and normalise an encoder's vectors as configured. [..., D] -> [..., D] float32"""
        if isinstance(vectors, np.ndarray):
            vectors = torch.from_numpy(vectors.astype(np.float32))
        if self.offset is not None:
            vectors = vectors - self.offset
        if self.mixing is not None:
            vectors = vectors @ self.mixing
        return F.normalize(vectors, dim=-1) if self.normalise else vectors

    def flops_per_position(self) -> int:
        """Return the FLOPs of transforming one vector; a multiply-add is 2."""
        return 0 if self.mixing is None else 2 * self.mixing.numel()

    def at(self, positions: np.ndarray) -> Tensor:
        """Return the targets at positions of the training text, at level `token`. [...] -> [..., D]"""
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
    **settings: Unpack[EncoderSettings],
) -> Targets:
    """Return targets whose row is the mean of a word's vectors in the training text.

    The row of `<unk>` is the mean over all words that it replaces.

    Args:
        level: regress onto the vector of the occurrence (`token`) or onto the row (`type`).
        centre: subtract the mean vector of the training words.
        whiten: scale the vectors to variance 1 in every direction in which they vary (ZCA: rotated back).
        normalise: scale to unit length at the end: the length of a mean depends on the frequency and variety of its
            word's uses, and would dominate squared distances.

    Raises:
        SettingError: an unknown level, or a setting that the encoder refuses.
    """
    if level not in ("token", "type"):
        raise SettingError("targets.level", f"{level} is no level; give token or type")
    encoder = make_encoder(settings, cache_dir)
    corpus, encoded = vocabulary.corpus, None
    if level == "token":
        encoded = encoder.encode(corpus, "train")
    moments = training_moments(encoder, corpus)
    sums, words = sums_by_id(moments.sums, vocabulary), len(corpus.train)
    mean = sums.sum(0, dtype=torch.float64) / words
    covariance = torch.from_numpy(np.array(moments.squares)) / words - torch.outer(mean, mean)
    targets = Targets(
        name,
        level,
        sums / torch.from_numpy(vocabulary.counts)[:, None],
        offset=mean.float() if centre else None,
        mixing=whitening(covariance) if whiten else None,
        normalise=normalise,
    )
    targets.vectors = None if encoded is None else encoded.vectors
    targets.encoder, targets.encode_seconds = encoder, moments.seconds if encoded is None else encoded.seconds
    targets.weights_sha256 = encoder.weights_sha256
    return targets


def make_encoder(settings: Mapping[str, Any], cache_dir: str, device: str | None = None) -> Encoder:
    """Return the Encoder of a configuration's `targets`; `inputs=contextual` uses this encoder with any head.

    Raises:
        SettingError: the targets have no encoder, or the encoder refuses a setting.
    """
    if "encoder" not in settings:
        raise SettingError("inputs", "contextual inputs need targets with an encoder; choose targets=bert")
    source, *rest = EncoderSettings.__annotations__
    return Encoder(settings[source], cache_dir=cache_dir, device=device, **{key: settings[key] for key in rest})


def sums_by_id(sums: np.ndarray, vocabulary: Vocabulary) -> Tensor:
    """Add the sums of all types that `<unk>` replaces. [L, D] -> [V, D] float32"""
    known = len(vocabulary) - 1
    rows = torch.zeros(len(vocabulary), sums.shape[1])
    rows[torch.from_numpy(vocabulary.ids[:known].astype(np.int64))] = torch.from_numpy(np.array(sums[:known]))
    replaced = np.zeros(sums.shape[1])
    for start in range(known, len(sums), BLOCK):
        replaced += sums[start : start + BLOCK].sum(0, dtype=np.float64)
    rows[vocabulary.unk] = torch.from_numpy(replaced).float()
    return rows


def whitening(covariance: Tensor) -> Tensor:
    """Return the symmetric inverse square root (ZCA, Bell & Sejnowski 1997), 0 in flat directions.

    [D, D] float64 -> [D, D] float32. A direction is flat if its variance is at most `FLAT` times the mean variance.
    """
    variances, directions = torch.linalg.eigh(covariance)
    kept = variances > FLAT * variances.mean()
    directions = directions[:, kept]
    return (directions / variances[kept].sqrt() @ directions.T).float()
