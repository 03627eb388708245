"""Write a long text whose word frequencies fall as 1 / rank: `python tests/factories/zipf_text.py FILE WORDS TYPES`.

A document has a thousand words, and blank lines separate documents.
"""

import itertools
import sys
from pathlib import Path

import numpy as np

DOCUMENT, LINE = 1000, 20  # words

CHUNK = 1000  # documents drawn at a time

SYLLABLES = ["".join(pair) for pair in itertools.product("bdfghklmnprstvz", "aeiou")]


def spelling(number: int) -> str:
    """Return a word of two or more syllables; no two numbers have the same word."""
    syllables = []
    while number or len(syllables) < 2:
        number, rest = divmod(number, len(SYLLABLES))
        syllables.append(SYLLABLES[rest])
    return "".join(reversed(syllables))


def write_zipf_text(path: Path, words: int, types: int, seed: int = 0) -> Path:
    """Write `words` words drawn from `types` types, in whole documents."""
    spellings = np.array([spelling(number) for number in range(types)], object)
    cumulative = np.cumsum(1 / np.arange(1, types + 1))
    random = np.random.default_rng(seed)
    ends = np.where(np.arange(1, DOCUMENT + 1) % LINE, " ", "\n").astype(object)
    ends[-1] = "\n\n"
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, words // DOCUMENT, CHUNK):
            size = (min(CHUNK, words // DOCUMENT - first), DOCUMENT)
            drawn = np.searchsorted(cumulative, random.random(size) * cumulative[-1])
            file.write("".join(np.stack([spellings[drawn], np.broadcast_to(ends, size)], -1).ravel().tolist()))
    return path


if __name__ == "__main__":
    write_zipf_text(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
