"""Text: documents of lexicon indices end to end, in memory or mapped from disk.

N words, D documents, n words of a chunk.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

LEAST_OF_A_DOCUMENT = 200  # words; a limit that leaves less of each document takes fewer documents

FEWEST = 0.98  # share of a limit that is kept at least

CHUNK = 1 << 20  # words that a pass over a whole text holds in memory


@dataclass(frozen=True)
class Text:
    """Documents end to end: document d is `words[starts[d]:starts[d + 1]]`."""

    words: np.ndarray  # [N] int32, indices into the lexicon
    starts: np.ndarray  # [D + 1] int64
    raw_bytes: np.ndarray | None = None  # [N] integers, UTF-8 bytes of the owner's text per word; None if unknown

    def __len__(self) -> int:
        return len(self.words)

    def documents(self) -> list[np.ndarray]:
        """Return D arrays of lexicon indices."""
        return np.split(self.words, self.starts[1:-1])

    def head(self, limit: int | None) -> "Text":
        """Return about `limit` words: the same share of every document, or of evenly spaced ones if all would be short.

        A document is cut at its end, so that each word keeps its history. None returns the whole text.
        """
        if limit is None or limit >= len(self):
            return self
        lengths = np.diff(self.starts)
        least = min(LEAST_OF_A_DOCUMENT, len(self) / len(lengths))
        count = min(len(lengths), max(1, int(limit / least)))
        chosen = np.linspace(0, len(lengths) - 1, count).astype(int)
        while (held := int(lengths[chosen].sum())) < limit:  # the other documents hold more words than these
            count = min(len(lengths), max(count + 1, math.ceil(count * limit / held)))
            chosen = np.linspace(0, len(lengths) - 1, count).astype(int)
        share = limit / held
        kept = np.maximum(1, (lengths[chosen] * share).astype(np.int64))
        if kept.sum() < FEWEST * limit:  # rounding down costs each of many short documents up to a word
            ends = np.floor(np.cumsum(lengths[chosen]) * share).astype(np.int64)
            kept = np.diff(ends, prepend=0).clip(1, lengths[chosen])
        positions = ragged(self.starts[chosen], kept)
        return Text(
            np.asarray(self.words[positions]),
            np.concatenate([[0], np.cumsum(kept)]),
            None if self.raw_bytes is None else np.asarray(self.raw_bytes[positions]),
        )

    def select(self, documents: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the positions of the words of these documents, chunk by chunk. [D] -> [n] int64"""
        begins, lengths = self.starts[:-1][documents], np.diff(self.starts)[documents]
        ends = np.cumsum(lengths)
        for low in range(0, int(lengths.sum()), CHUNK):
            high = min(low + CHUNK, int(ends[-1]))
            first, last = np.searchsorted(ends, [low, high - 1], side="right")
            inside = slice(first, last + 1)
            before = ends[inside] - lengths[inside]
            cut = np.maximum(low - before, 0)
            yield ragged(begins[inside] + cut, np.minimum(ends[inside], high) - before - cut)


def concatenate(documents: Sequence[np.ndarray]) -> Text:
    """Return documents of lexicon indices as one Text."""
    starts = np.cumsum([0] + [len(document) for document in documents], dtype=np.int64)
    words = np.concatenate(documents) if documents else np.empty(0)
    return Text(words.astype(np.int32), starts)


def chunks(length: int) -> Iterator[slice]:
    """Yield consecutive slices of at most CHUNK words."""
    for start in range(0, length, CHUNK):
        yield slice(start, min(start + CHUNK, length))


def ragged(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return runs end to end: begins[0], begins[0] + 1, … (counts[0] numbers), begins[1], … [K], [K] -> [Σ counts]"""
    return np.repeat(begins - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
