"""Tokenise blocks of text, in this process or in several: `bench.data.words.read_document` for texts of any length.

A block is cut at the end of a segment, the characters between two spaces. A segment is tokenised by itself, so that the
words do not depend on the blocks. Each process remembers the words of the segments that it has seen.
The processes are not forked, as a forked copy of a process with threads may hang.
C characters, S segments, N words, D documents, L distinct words of a block.
"""

import itertools
import os
import pickle
import re
import subprocess
import sys
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from bench.core.cpu_threads import usable_cores
from bench.core.errors import SettingError
from bench.data.text import ragged
from bench.data.words import SEGMENT, divided, words_of_segment

BLOCK = 1 << 21  # characters per block; a process holds about 30 bytes per character

PARALLEL_FROM = 4  # blocks; a shorter text is tokenised before other processes have started

# Segments that a process remembers, and their words: both bound its memory to about 200 MB. Where a script writes no
# spaces, a segment has hundreds of words.
MOST_KNOWN, MOST_KNOWN_WORDS = 1 << 19, 1 << 22

BLANK_LINES = re.compile(r"(?>\r\n|\r|\n)\s*[\r\n]")  # at least two line ends; `\r\n` is one

IS_SPACE = np.array([chr(code).isspace() or code == 0x200B for code in range(0x3002)])  # by code point; false above


class Block(NamedTuple):
    """Consecutive documents of one group; the first may continue the last document of the block before."""

    documents: list[str]  # or a single text whose documents are separated by blank lines
    blank_lines: bool  # True for such a text
    ends: bool  # False if the last document continues in the next block
    group: int  # number that the caller gives to a file or split


class Tokenised(NamedTuple):
    """Words of a block."""

    types: list[str]  # L distinct words
    words: np.ndarray  # [N] int32, indices into the types
    raw_bytes: np.ndarray  # [N] int32, UTF-8 bytes of the original text per word, as in `bench.data.words.Document`
    lengths: np.ndarray  # [D] int64, words per document
    lead: int  # bytes of the first document; only if no word of the document is in this block, else 0
    tail: int  # bytes after the last word of a last document that continues
    ends: bool
    group: int


class Known(dict):
    """Number of each segment; an unknown segment is tokenised and gets the next number."""

    def __init__(self, lowercase: bool):
        super().__init__()
        self.lowercase = lowercase
        self.types: dict[str, int] = {}
        self.words, self.counts = array("i"), array("i")  # type of each word of each segment, words per segment

    def __missing__(self, segment: str) -> int:
        words = words_of_segment(segment, self.lowercase)
        self.words.extend([self.types.setdefault(word, len(self.types)) for word in words])
        self.counts.append(len(words))
        self[segment] = len(self)
        return len(self) - 1


class Tokeniser:
    """Tokeniser of blocks that remembers the words of each segment."""

    def __init__(self, lowercase: bool):
        self.known = Known(lowercase)

    def __call__(self, block: Block) -> Tokenised:
        """Return the words of a block."""
        if len(self.known) > MOST_KNOWN or len(self.known.words) > MOST_KNOWN_WORDS:
            self.known = Known(self.known.lowercase)
        text, begins, ends = joined(block)
        is_space, offsets = characters(text)
        edges = np.flatnonzero(np.diff(is_space, prepend=True, append=True))
        segment_begins, segment_ends = edges[::2], edges[1::2]  # [S]
        segments = np.fromiter(map(self.known.__getitem__, SEGMENT.findall(text)), np.int64, len(segment_begins))
        counts = np.array(self.known.counts, np.int64)
        firsts, counts = (np.cumsum(counts) - counts)[segments], counts[segments]
        words = np.array(self.known.words, np.int32)[ragged(firsts, counts)]

        # a document's bytes go to its segments that have words; the last of them gets the bytes after it, too
        holds = counts > 0
        own_begins, own_ends = offsets[segment_begins[holds]], offsets[segment_ends[holds]]
        document = np.searchsorted(begins, segment_begins[holds], side="right") - 1
        lengths = np.bincount(document, counts[holds], minlength=len(begins)).astype(np.int64)
        reach = own_ends.copy()
        is_last = np.diff(document, append=len(begins)) > 0
        tail = 0 if block.ends else int(offsets[-1] - (reach[-1] if lengths[-1] else offsets[begins[-1]]))
        if not block.ends and lengths[-1]:
            is_last[-1] = False
        reach[is_last] = offsets[ends[document[is_last]]]
        before = np.roll(reach, 1)
        is_first = np.diff(document, prepend=-1) > 0
        before[is_first] = offsets[begins[document[is_first]]]
        raw_bytes = divided(own_begins - before, own_ends - own_begins, counts[holds]).astype(np.int32)
        raw_bytes[np.cumsum(counts[holds]) - 1] += (reach - own_ends).astype(np.int32)
        lead = 0 if lengths[0] else int(offsets[ends[0]] - offsets[begins[0]])

        occurs = np.zeros(len(self.known.types), bool)
        occurs[words] = True
        types = list(itertools.compress(self.known.types, occurs))
        words = (np.cumsum(occurs, dtype=np.int32) - 1)[words]
        return Tokenised(types, words, raw_bytes, lengths, lead, tail, block.ends, block.group)


def joined(block: Block) -> tuple[str, np.ndarray, np.ndarray]:
    """Return the documents of a block as one text, and where each document begins and ends. [D] int64 each"""
    if block.blank_lines:
        (text,) = block.documents
        separators = [match.span() for match in BLANK_LINES.finditer(text)]
        return (
            text,
            np.array([0, *(end for _, end in separators)], np.int64),
            np.array([*(start for start, _ in separators), len(text)], np.int64),
        )
    lengths = np.fromiter(map(len, block.documents), np.int64, len(block.documents))
    ends = np.cumsum(lengths + 1) - 1
    return "\n".join(block.documents), ends - lengths, ends


def characters(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which characters are spaces [C], and the UTF-8 bytes before each character and the end [C + 1]."""
    if text.isascii():
        codes = np.frombuffer(text.encode(), np.uint8)
        return IS_SPACE[codes], np.arange(len(text) + 1)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    widths = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000)
    return IS_SPACE[np.minimum(codes, len(IS_SPACE) - 1)], np.concatenate([[0], np.cumsum(widths)])


def tokenise(blocks: Iterable[Block], lowercase: bool) -> Iterator[Tokenised]:
    """Yield the words of each block, in order; a long text is tokenised by as many processes as there are cores.

    Raises:
        SettingError: one of these processes has ended.
    """
    blocks = iter(blocks)
    first = list(itertools.islice(blocks, PARALLEL_FROM))
    cores = usable_cores()
    if len(first) < PARALLEL_FROM or cores == 1:
        yield from map(Tokeniser(lowercase), itertools.chain(first, blocks))
        return
    with ExitStack() as stack:
        idle: SimpleQueue[subprocess.Popen] = SimpleQueue()
        for _ in range(cores):
            idle.put(stack.enter_context(worker(lowercase)))
        threads = stack.enter_context(ThreadPoolExecutor(cores, "tokenise"))  # each waits for a process
        pending = deque()
        for block in itertools.chain(first, blocks):
            pending.append(threads.submit(ask, idle, block))
            if len(pending) > 2 * cores:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def worker(lowercase: bool) -> subprocess.Popen:
    """Start a process that tokenises; it ends when its input is closed, at the latest when this process ends."""
    sources = str(Path(__file__).parents[2])
    paths = os.pathsep.join([sources, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", f"from bench.data import tokeniser; tokeniser.serve({lowercase})"]
    own_group = {"process_group": 0} if os.name == "posix" else {}  # Ctrl-C reaches this process alone
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, **own_group, env={**os.environ, "PYTHONPATH": paths})


def ask(idle: "SimpleQueue[subprocess.Popen]", block: Block) -> Tokenised:
    """Return the words of a block from the next process that is idle."""
    process = idle.get()
    try:
        pickle.dump(block, process.stdin, pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        return pickle.load(process.stdout)
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        process.kill()  # no effect if it has ended
        with suppress(OSError):
            process.stdin.close()
        problem = f"a process that tokenises has ended (exit status {process.wait()}); free memory, and run this again"
        raise SettingError("corpus", problem) from error
    finally:
        idle.put(process)


def serve(lowercase: bool) -> None:
    """Tokenise the pickled blocks on standard input until it is closed."""
    tokeniser = Tokeniser(lowercase)
    with suppress(EOFError):
        while True:
            block = pickle.load(sys.stdin.buffer)
            pickle.dump(tokeniser(block), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
            sys.stdout.buffer.flush()
