"""User's own text: one UTF-8 file or a folder of them."""

import functools
import re
from pathlib import Path

from bench.core.errors import SettingError
from bench.core.files import find_text, list_text_files, read_utf8
from bench.data.corpus import Corpus, build_corpus
from bench.data.splits import AT_RANDOM, SHARES, group_by_split, split_by_document, split_name
from bench.data.words import Document, read_document

LONGEST_WORD = 10_000  # characters; a longer word would take too much memory in the model of spellings

BLANK_LINES = re.compile(r"(?>\r\n|\r|\n)\s*[\r\n]")  # at least two line ends; `\r\n` is one


@functools.cache
def text(path: str | int | float | None, lowercase: bool = True) -> Corpus:
    """Return a user's text: a folder (a file is a document) or one file (blank lines separate its documents).

    Files or sub-folders named train, valid (validation, val, dev) and test are these splits; a missing validation or
    test split is drawn from the training documents. All other texts are split by document at random.

    Raises:
        SettingError: no path, nothing there, an empty text, a file that cannot be read as text, or files that belong
            to no split beside files that do.
    """
    if path is None:
        raise SettingError("corpus.path", "corpus=text needs a UTF-8 file or folder: corpus.path=my_text.txt")
    place = find_text(path)
    if place is None:
        raise SettingError("corpus.path", f"{path} does not exist; give a UTF-8 text file or a folder of them")
    files = list_text_files(place)
    grouped = group_by_split(place, files) if place.is_dir() else None
    read = {file: read_documents(file, place, named=grouped is not None, lowercase=lowercase) for file in files}
    documents = [document for inside in read.values() for document in inside]
    if not any(documents):
        raise SettingError("corpus.path", f"{path} holds no words; give a file with text in it")
    longest = max((word for document in documents for word in document), key=len)
    if len(longest) > LONGEST_WORD:
        problem = f"{path} holds a word of {len(longest):,} letters, {longest[:20]}…; put spaces between its words"
        raise SettingError("corpus.path", problem)
    if grouped is None:
        return build_corpus(place.stem, split_by_document(documents), AT_RANDOM)
    splits = {split: [document for file in members for document in read[file]] for split, members in grouped.items()}
    missing = {split: share for split, share in SHARES.items() if split not in splits}
    origin = f"{', '.join(splits)} as the user's files are named"
    if missing:
        splits |= split_by_document(splits["train"], missing)
        origin += f"; {' and '.join(missing)} from train, {AT_RANDOM}"
    return build_corpus(place.stem, splits, origin)


def read_documents(file: Path, place: Path, *, named: bool, lowercase: bool) -> list[Document]:
    """Return the documents of one file.

    Args:
        place: the file or folder that the user gave.
        named: True if the folder's files or sub-folders name its splits; a file that names a split holds documents
            between blank lines, a file in a folder that names one is a document.
    """
    content = read_utf8(file)
    is_document = place.is_dir() and (not named or split_name(file.relative_to(place))[1])
    return [read_document(each, lowercase) for each in ([content] if is_document else BLANK_LINES.split(content))]
