"""User's own text: one UTF-8 file or a folder of them."""

import codecs
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import SettingError
from bench.core.files import find_text, list_text_files, raise_unreadable
from bench.data.collect import Collected, collect, in_blocks, write_corpus
from bench.data.corpus import Corpus
from bench.data.corpus_cache import cached_corpus, stamps_of, text_sha256, watched
from bench.data.splits import AT_RANDOM, SHARES, draw_splits, group_by_split, split_name
from bench.data.tokeniser import Block

MARKED = (
    ".json",
    ".jsonl",
    ".ndjson",
    ".csv",
    ".tsv",
    ".xml",
    ".html",
    ".htm",
)  # names of files that are no plain text

LONGEST_WORD = 10_000  # characters; a longer word would take too much memory in the model of spellings

PART = 1 << 20  # bytes read at a time


@functools.cache
def text(path: str | int | float | None, lowercase: bool = True, cache_dir: str | None = None) -> Corpus:
    """Return a user's text: a folder (a file is a document) or one file (blank lines separate its documents).

    Files or sub-folders named train, valid (validation, val, dev) and test are these splits; a missing validation or
    test split is drawn from the training documents. All other texts are split by document at random.

    Args:
        cache_dir: folder that keeps the tokenised text; null tokenises the text again in every process.

    Raises:
        SettingError: no path, nothing there, an empty text, a file that cannot be read as text or has markup, or files
            that belong to no split beside files that do.
    """
    if path is None:
        raise SettingError("corpus.path", "corpus=text needs a UTF-8 file or folder: corpus.path=my_text.txt")
    place = find_text(path)
    if place is None:
        raise SettingError("corpus.path", f"{path} does not exist; give a UTF-8 text file or a folder of them")
    files = list_text_files(place)
    if marked := next((file for file in files if file.suffix.lower() in MARKED), None):
        problem = f"{marked} is {marked.suffix[1:].lower()}, whose markup would count as words"
        raise SettingError("corpus.path", f"{problem}; write its texts to .txt files, a document each")
    grouped = group_by_split(place, files) if place.is_dir() else None
    before = stamps_of(files)
    settings = {"source": "text", "sha256": text_sha256(place, files, before, cache_dir), "lowercase": lowercase}

    def fill(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
        blocks = read_blocks(files, place, grouped)
        collected = collect(folder, blocks, lowercase, heartbeat, sum(file.stat().st_size for file in files))
        check_words(path, collected.types)
        splits, origin = split_up(collected, None if grouped is None else list(grouped))
        return {**write_corpus(folder, place.stem, collected, splits), "origin": origin}

    return cached_corpus(place.stem, settings, cache_dir, watched(fill, files, before))


def read_blocks(files: Sequence[Path], place: Path, grouped: Mapping[str, Sequence[Path]] | None) -> Iterator[Block]:
    """Yield the blocks of all files; a block's group is the number of its split in `grouped`.

    In a folder whose files or sub-folders name its splits, a file that names a split holds documents between blank
    lines, and a file in a folder that names a split is a document.

    Args:
        place: the file or folder that the user gave.
        grouped: the files of each split, if the folder names splits.
    """
    groups = {file: group for group, members in enumerate((grouped or {}).values()) for file in members}

    def kind(file: Path) -> tuple[int, bool]:
        is_document = place.is_dir() and (grouped is None or split_name(file.relative_to(place))[1])
        return groups.get(file, 0), is_document

    for (group, is_document), members in itertools.groupby(files, kind):
        yield from in_blocks(map(read_utf8_parts, members), group, blank_lines=not is_document)


def read_utf8_parts(file: Path) -> Iterator[str]:
    """Yield one file's text in parts, its line ends as they are.

    Raises:
        SettingError: the file is not UTF-8, holds a NUL, or cannot be read.
    """
    decoder, done = codecs.getincrementaldecoder("utf-8")(), 0  # bytes before this part, a byte order mark left out
    try:
        with file.open("rb") as opened:
            if opened.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                opened.seek(0)
            while True:
                read = opened.read(PART)
                begun = len(decoder.getstate()[0])  # bytes of a character that the part before began
                part = decoder.decode(read, final=not read)
                if "\0" in part:
                    at = done - begun + len(part[: part.index("\0")].encode())
                    problem = f"{file} holds a NUL (byte {at}): no text, or UTF-16; convert it first"
                    raise SettingError("corpus.path", problem)
                yield part
                if not read:
                    return
                done += len(read)
    except UnicodeDecodeError as error:
        problem = f"{file} is not UTF-8 (byte {done - begun + error.start}); convert it first"
        raise SettingError("corpus.path", problem) from None
    except OSError as error:
        raise_unreadable(error)


def check_words(path: str | int | float, types: Sequence[str]) -> None:
    """Check the distinct words of a text.

    Raises:
        SettingError: there are none, or one is too long.
    """
    if not types:
        raise SettingError("corpus.path", f"{path} holds no words; give a file with text in it")
    longest = max(types, key=len)
    if len(longest) > LONGEST_WORD:
        problem = f"{path} has a word of {len(longest):,} characters, {longest[:20]}…; put spaces between its words"
        raise SettingError("corpus.path", problem)


def split_up(collected: Collected, named: Sequence[str] | None) -> tuple[dict[str, np.ndarray], str]:
    """Return the numbers of each split's documents, and how the splits came about.

    Args:
        named: the splits that the user's files name, by group; None if they name none.

    Raises:
        SettingError: fewer documents than splits.
    """
    lengths = np.diff(collected.text.starts)
    if named is None:
        return draw_splits(lengths), AT_RANDOM
    splits = {split: np.flatnonzero(collected.groups == group) for group, split in enumerate(named)}
    origin = f"{', '.join(named)} as the user's files are named"
    if missing := {split: share for split, share in SHARES.items() if split not in splits}:
        train = splits["train"]
        splits |= {split: train[drawn] for split, drawn in draw_splits(lengths[train], missing).items()}
        origin += f"; {' and '.join(missing)} from train, {AT_RANDOM}"
    return splits, origin
