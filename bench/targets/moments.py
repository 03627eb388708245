"""Moments of an encoder's vectors over the training text, from which target tables are computed at any V.

A table needs the sum of each word's vectors and the sum of all outer products. Both are summed while the encoder runs,
so that neither disk nor memory holds the vectors of the occurrences. The sum of a word over N occurrences is rounded
to float32 once: relative error 2^-24, beside the 2^-11 of each vector's rounding to float16.
L lexicon types, N words, n words of a batch, D the width.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.core.disk_cache import cached_folder
from bench.core.reserved_array import reserved
from bench.data.corpus import Corpus
from bench.data.text import chunks
from bench.targets.encoder import Encoder

BLOCK = 1 << 15  # vectors per block; bounds memory

SCHEME = 1  # raise the number when the same vectors give other moments: older caches are then ignored


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums of the vectors of the training words."""

    sums: np.memmap  # [L, D] float32, over the occurrences of each type; read-only
    squares: np.memmap  # [D, D] float64, outer products over all occurrences
    seconds: float  # that encoding took


def training_moments(encoder: Encoder, corpus: Corpus) -> Moments:
    """Return the moments of the training split from the cache, or from its cached vectors, or from the encoder.

    Raises:
        SettingError: the disk is full, or the model does not support the settings.
    """
    settings = {**encoder.cache_settings(corpus, "train"), "moments": SCHEME}

    def fill(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
        began, seconds = time.perf_counter(), None
        if (encoded := encoder.cached(corpus, "train")) is not None:
            batches, seconds = in_blocks(encoded.vectors), encoded.seconds
        else:
            batches = encoder.read(corpus, "train")
        sums = reserved(folder / "exact.tmp", (len(corpus.lexicon), encoder.width), np.float64)
        np.save(folder / "squares.npy", add_up(batches, corpus.train.words, sums, heartbeat))
        rounded = reserved(folder / "sums.npy", sums.shape, np.float32)
        for chunk in chunks(len(sums)):
            rounded[chunk] = sums[chunk]
        return {"seconds": round(time.perf_counter() - began, 3) if seconds is None else seconds}

    found = cached_folder(
        encoder.cache.with_name("moments"), settings, what=f"encoding {corpus.name}, train", fill=fill
    )
    return Moments(found.array("sums"), found.array("squares"), found.figures["seconds"])


def in_blocks(vectors: np.ndarray) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Yield positions [n] and vectors [n, D] float16 of all vectors. [N, D]"""
    for start in range(0, len(vectors), BLOCK):
        block = np.array(vectors[start : start + BLOCK])
        yield np.arange(start, start + len(block)), torch.from_numpy(block)


def add_up(
    batches: Iterator[tuple[np.ndarray, torch.Tensor]],
    words: np.ndarray,
    sums: np.ndarray,
    heartbeat: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Add vectors to the sums of their types [L, D] float64 in place; return the sum of outer products [D, D] float64.

    Args:
        batches: positions [n] and vectors [n, D].
        words: type at each position. [N]
        heartbeat: called after each batch.
    """
    squares = torch.zeros(sums.shape[1], sums.shape[1], dtype=torch.float64)
    into = torch.from_numpy(sums)
    for positions, vectors in batches:
        types = torch.from_numpy(words[positions].astype(np.int64))
        exact = vectors.double()
        into.index_add_(0, types, exact)
        squares += exact.T @ exact
        heartbeat()
    return squares.numpy()
