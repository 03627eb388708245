"""Tokenised blocks -> one text on disk in the order of reading -> the files of a corpus, split and sorted.

N words, D documents, L types.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench.core.progress import CONSOLE
from bench.core.reserved_array import reserved
from bench.data.corpus import check_not_empty, corpus_digest, sort_types, spelt_out
from bench.data.text import Text
from bench.data.tokeniser import BLOCK, Block, Tokenised, tokenise

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Collected:
    """Words of a whole text in the order of reading, mapped from disk; documents without words are left out."""

    types: list[str]  # in the order of their first occurrence
    text: Text  # indices into `types`
    groups: np.ndarray  # [D] int64, group of each document's blocks


class Collector:
    """Appends tokenised blocks to two files, and joins documents that continue from block to block."""

    def __init__(self, folder: Path):
        self.paths = folder / "words.tmp", folder / "raw_bytes.tmp"
        self.index: dict[str, int] = {}
        self.lengths: list[np.ndarray] = []
        self.groups: list[np.ndarray] = []
        self.written = 0  # words in the files
        self.open_words = 0  # words of the document that the last block left open
        self.carried = 0  # bytes of this document after its last word
        self.late: list[tuple[int, int]] = []  # position of a word, bytes to add: known after the word was written

    def run(self, blocks: Iterable[Tokenised], proceed: Callable[[int], None]) -> Collected:
        """Write all blocks; call `proceed` with the bytes of each. The files can be deleted once they are mapped."""
        with ExitStack() as stack:
            words, raw_bytes = (stack.enter_context(path.open("wb")) for path in self.paths)
            for block in blocks:
                indices = [self.index.setdefault(word, len(self.index)) for word in block.types]
                words.write(np.array(indices, np.int32)[block.words].data)
                raw_bytes.write(self.join(block).data)
                proceed(int(block.raw_bytes.sum()))
        lengths, groups = (np.concatenate([np.empty(0, np.int64), *each]) for each in (self.lengths, self.groups))
        if not self.written:
            return Collected([], Text(np.empty(0, np.int32), np.zeros(1, np.int64)), groups)
        mapped = [np.memmap(path, np.int32, "r+") for path in self.paths]
        for position, more in self.late:
            mapped[1][position] += more
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return Collected(list(self.index), Text(mapped[0], starts, mapped[1]), groups)

    def join(self, block: Tokenised) -> np.ndarray:
        """Add a block's documents; return the bytes per word, those carried from the block before included. [N]"""
        lengths, raw_bytes = block.lengths.copy(), block.raw_bytes
        if lengths[0]:
            raw_bytes[0] += self.carried
            self.carried = 0
        else:
            self.carried += block.lead
        lengths[0] += self.open_words
        if len(lengths) > 1 or block.ends:  # the document that was open ends here
            if self.carried and lengths[0]:
                self.late.append((self.written - 1, self.carried))
            self.carried = 0
        self.open_words = 0
        if not block.ends:
            self.open_words = int(lengths[-1])
            self.carried = block.tail if len(lengths) > 1 or block.lengths[0] else self.carried
            lengths = lengths[:-1]
        lengths = lengths[lengths > 0]
        self.lengths.append(lengths)
        self.groups.append(np.full(len(lengths), block.group))
        self.written += len(block.words)
        return raw_bytes


def collect(
    folder: Path, blocks: Iterable[Block], lowercase: bool, heartbeat: Callable[[], None], size: int | None = None
) -> Collected:
    """Tokenise blocks into temporary files of a folder.

    Args:
        blocks: the last block of each group ends a document.
        heartbeat: called after each block.
        size: bytes of the whole text, for a progress bar; None shows none.
    """
    shown = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    hidden = size is None or not CONSOLE.is_terminal
    with Progress(*shown, TimeRemainingColumn(), console=CONSOLE, transient=True, disable=hidden) as progress:
        task = progress.add_task("tokenising", total=size)

        def proceed(read: int) -> None:
            progress.update(task, advance=read)
            heartbeat()

        return Collector(folder).run(tokenise(blocks, lowercase), proceed)


def in_blocks(documents: Iterable[Iterable[str]], group: int = 0, *, blank_lines: bool = False) -> Iterator[Block]:
    """Group documents into blocks of about BLOCK characters, and cut long documents.

    Args:
        documents: each in parts of at most BLOCK characters.
        blank_lines: True if each is a text whose documents are separated by blank lines.
    """
    waiting: list[str] = []
    held = 0  # characters of these
    for parts in documents:
        pieces = cut(parts)
        piece = next(pieces)
        for later in pieces:
            yield Block([*waiting, piece], blank_lines, ends=False, group=group)
            waiting, held, piece = [], 0, later
        waiting.append(piece)
        held += len(piece)
        if blank_lines or held >= BLOCK:
            yield Block(waiting, blank_lines, ends=True, group=group)
            waiting, held = [], 0
    if waiting:
        yield Block(waiting, blank_lines, ends=True, group=group)


def cut(parts: Iterable[str]) -> Iterator[str]:
    """Cut one text, given in parts of at most BLOCK characters, into pieces that end between two words.

    A piece ends after a segment; the spaces that follow begin the next piece.
    """
    rest, searched = "", 0
    for part in parts:
        rest += part
        if len(rest) > BLOCK:
            if end := last_end(rest, searched):
                yield rest[:end]
            rest = rest[end:]
            searched = 0 if end else len(rest)
    yield rest


def last_end(text: str, searched: int) -> int:
    """Return the end of the last segment that a space follows; 0 if no space is beyond `searched` characters."""
    end = len(text)
    while end > searched and not is_space(text[end - 1]):
        end -= 1
    if end == searched:
        return 0
    while end > 0 and is_space(text[end - 1]):
        end -= 1
    return end


def is_space(character: str) -> bool:
    """True if a character separates words, as in `bench.data.words.SEGMENT`."""
    return character.isspace() or character == "\u200b"


def write_corpus(folder: Path, name: str, collected: Collected, splits: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Write the files of a corpus into a folder; return its digest.

    Args:
        splits: the numbers of each split's documents.

    Raises:
        SettingError: a split holds no word.
    """
    text = collected.text
    lengths = np.diff(text.starts)
    check_not_empty(name, {split: int(lengths[splits[split]].sum()) for split in SPLITS})
    counts = np.zeros(len(collected.types), np.int64)
    for positions in text.select(splits["train"]):
        counts += np.bincount(text.words[positions], minlength=len(counts))
    order, lexicon = sort_types(collected.types, counts)
    index = np.empty(len(order), np.int32)
    index[order] = np.arange(len(order))
    texts = {}
    for split in SPLITS:
        starts = np.concatenate([[0], np.cumsum(lengths[splits[split]])])
        words = reserved(folder / f"{split}.words.npy", (int(starts[-1]),), np.int32)
        raw_bytes = reserved(folder / "test.raw_bytes.npy", words.shape, np.int32) if split == "test" else None
        done = 0
        for positions in text.select(splits[split]):
            words[done : done + len(positions)] = index[text.words[positions]]
            if raw_bytes is not None:
                raw_bytes[done : done + len(positions)] = text.raw_bytes[positions]
            done += len(positions)
        np.save(folder / f"{split}.starts.npy", starts)
        texts[split] = Text(words, starts)
    np.save(folder / "counts.npy", counts[order])
    (folder / "lexicon.txt").write_bytes(spelt_out(lexicon))
    return {"digest": corpus_digest(lexicon, texts)}
