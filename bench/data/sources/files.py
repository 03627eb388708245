"""A user's own text: one UTF-8 file or a folder of them."""

import functools
import re

from bench.core.errors import SettingError
from bench.core.files import find_text, list_text_files, read_utf8
from bench.data.corpus import Corpus, build_corpus, split_by_document, tokenize

LONGEST_WORD = 10_000  # letters: more is no word, and a model of spellings would need memory for it


@functools.cache
def text(path: str | int | float | None, lowercase: bool = True) -> Corpus:
    """A user's text: a folder (a file is a document) or one file (blank lines separate its documents).

    Raises:
        SettingError: no path, nothing there, an empty text, or a file that cannot be read as text.
    """
    if path is None:
        raise SettingError("corpus.path", "corpus=text needs a UTF-8 file or folder: corpus.path=my_text.txt")
    place = find_text(path)
    if place is None:
        raise SettingError("corpus.path", f"{path} does not exist; give a UTF-8 text file or a folder of them")
    contents = {file: read_utf8(file) for file in list_text_files(place)}
    if not place.is_dir():
        contents = dict(enumerate(re.split(r"\n\s*\n", contents[place])))
    documents = [tokenize(content, lowercase) for content in contents.values()]
    if not any(documents):
        raise SettingError("corpus.path", f"{path} holds no words; give a file with text in it")
    longest = max((word for document in documents for word in document), key=len)
    if len(longest) > LONGEST_WORD:
        problem = f"{path} holds a word of {len(longest):,} letters, {longest[:20]}…; put spaces between its words"
        raise SettingError("corpus.path", problem)
    return build_corpus(place.stem, split_by_document(documents))
