"""A user's own text: one UTF-8 file or a folder of them."""

import functools
import re

from bench.core.errors import SettingError
from bench.core.files import files_of, located, read_utf8
from bench.data.corpus import Corpus, build, split_by_document, tokenize

LONGEST_WORD = 10_000  # letters: more is no word, and a model of spellings would need memory for it


@functools.cache
def text(path: str | int | float | None, lowercase: bool = True) -> Corpus:
    """A user's text: a folder (a file is a document) or one file (blank lines separate its documents).

    Raises:
        SettingError: no path, nothing there, an empty text, or a file that cannot be read as text.
    """
    if path is None:
        raise SettingError("corpus.path", "corpus=text needs a UTF-8 file or folder: corpus.path=my_text.txt")
    place = located(path)
    if place is None:
        raise SettingError("corpus.path", f"{path} does not exist; give a UTF-8 text file or a folder of them")
    contents = {file: read_utf8(file) for file in files_of(place)}
    if not place.is_dir():
        contents = dict(enumerate(re.split(r"\n\s*\n", contents[place])))
    documents = [tokenize(content, lowercase) for content in contents.values()]
    if not any(documents):
        raise SettingError("corpus.path", f"{path} holds no words; give a file with text in it")
    longest = max((word for document in documents for word in document), key=len)
    if len(longest) > LONGEST_WORD:
        problem = f"{path} holds a word of {len(longest):,} letters, {longest[:20]}…; put spaces between its words"
        raise SettingError("corpus.path", problem)
    return build(place.stem, split_by_document(documents))
