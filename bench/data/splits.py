"""Training, validation and test documents: split at random, or as the user's files are named."""

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence, Sized
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from bench.core.errors import SettingError
from bench.core.progress import print_line
from bench.data.text import Text

if TYPE_CHECKING:
    from bench.data.corpus import Corpus

SPLIT_SEED = 20220708  # fixed: runs of all seeds share the same splits

AT_RANDOM = f"split by document at random, seed {SPLIT_SEED}"

SHARES = {"validation": 0.05, "test": 0.20}  # of the words; intervals need many test documents

LARGE = 0.20  # share of all words; a larger document is for training, as too little would remain without it

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}  # as users write them -> ours

SizedDocument = TypeVar("SizedDocument", bound=Sized)


def split_by_document(documents: Sequence[SizedDocument]) -> dict[str, list[SizedDocument]]:
    """Draw whole documents in a fixed random order until each split has its share; training takes the rest.

    Raises:
        SettingError: fewer documents than splits.
    """
    documents = [document for document in documents if len(document)]
    drawn = draw_splits(np.fromiter(map(len, documents), np.int64, len(documents)))
    return {split: [documents[i] for i in numbers] for split, numbers in drawn.items()}


def draw_splits(lengths: np.ndarray, shares: dict[str, float] = SHARES) -> dict[str, np.ndarray]:
    """Draw documents as `split_by_document` does, given the number of words of each document, at least 1. [D]

    Args:
        shares: share of the words per split.

    Returns:
        The numbers of each split's documents, in the order drawn.

    Raises:
        SettingError: fewer documents than splits.
    """
    if len(lengths) <= len(shares):
        raise SettingError(
            "corpus.path",
            f"{len(lengths)} documents cannot be split by document; give a folder of at least 3 files, "
            "or a file whose documents are separated by blank lines",
        )
    order = np.random.default_rng(SPLIT_SEED).permutation(len(lengths))
    total, splits = int(lengths.sum()), {}
    order = order[np.argsort(lengths[order] > LARGE * total, kind="stable")]  # large documents come last
    for later, (split, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        # leave at least one document for each of the `later` splits that follow, training among them
        reached = int(np.searchsorted(np.cumsum(lengths[order]), share * total)) + 1 if share > 0 else 0
        count = min(reached, len(order) - later)
        splits[split], order = order[:count], order[count:]
    return splits | {"train": order}


def split_name(file: Path) -> tuple[str | None, bool]:
    """Return the split that a path names, as the user wrote it, and True if a folder names it.

    A folder counts by its whole name, a file by the first or last part of its stem: `valid/a.txt`, `ptb.test.txt`,
    `train-00000-of-00001.parquet`.
    """
    for folder in file.parts[:-1]:
        if folder.lower() in SPLIT_NAMES:
            return folder.lower(), True
    parts = re.split(r"[\W_]+", file.stem.lower())
    named = {part for part in (parts[0], parts[-1]) if part in SPLIT_NAMES}
    return (named.pop() if len(named) == 1 else None), False


def group_by_split(folder: Path, files: Sequence[Path]) -> dict[str, list[Path]] | None:
    """Return the user's files by split; None if the folder does not name a training and another split.

    Raises:
        SettingError: some files belong to no split, one split has two names, or a file or sub-folder is named exactly
            as a validation or test split while none is named as the training split.
    """
    found = {file: split_name(file.relative_to(folder)) for file in files}
    names = {file: name for file, (name, _) in found.items()}
    splits: dict[str, list[Path]] = {}
    for file, name in names.items():
        if name is not None:
            splits.setdefault(SPLIT_NAMES[name], []).append(file)
    if "train" not in splits:
        for file, (name, by_folder) in found.items():
            if name is not None and (by_folder or file.stem.lower() == name):  # `flight-test.txt` may be an article
                shown = file.relative_to(folder)
                problem = (
                    f"{folder} holds {shown} but no training split; name the training files train, or rename {shown}"
                )
                raise SettingError("corpus.path", problem)
    if "train" not in splits or len(splits) == 1:
        return None
    for split, members in splits.items():
        if len(written := sorted({str(names[file]) for file in members})) > 1:
            problem = f"{folder} holds the {split} split as {' and as '.join(written)}; keep one of them"
            raise SettingError("corpus.path", problem)
    if rest := [file for file, name in names.items() if name is None]:
        shown = f"{rest[0].relative_to(folder)}" + (f" and {len(rest) - 1} more files" if len(rest) > 1 else "")
        problem = (
            f"{folder} holds {' and '.join(sorted(splits))} files, but {shown} belong to no split; move or rename them"
        )
        raise SettingError("corpus.path", problem)
    return {split: splits[split] for split in ("train", "validation", "test") if split in splits}


@functools.cache  # once per corpus and process
def report_splits(corpus: "Corpus") -> None:
    """Print how large the splits are, how they came about, and how many documents are in two of them."""
    from pytorch_lightning.utilities import rank_zero_only  # heavy; a process that only reads a corpus needs no torch

    if rank_zero_only.rank:
        return
    texts = {split: getattr(corpus, split) for split in ("train", "validation", "test")}
    sizes = (f"{split} {count(len(text.starts) - 1, 'document')}, {len(text):,} words" for split, text in texts.items())
    print_line(f"corpus {corpus.name}: {'; '.join(sizes)} ({corpus.origin})")
    for (split, other), repeated in repeated_documents(texts).items():
        if repeated:
            print_line(
                f"warning: corpus {corpus.name}: {count(repeated, 'document')} of the {split} split also in the "
                f"{other} split, word for word; figures measured on it will be too good"
            )


def repeated_documents(texts: Mapping[str, Text]) -> dict[tuple[str, str], int]:
    """Return the number of documents of one split that are also in another split, word for word."""
    hashes = {
        split: [hashlib.sha256(text.words[start:end]).digest() for start, end in pairwise(text.starts.tolist())]
        for split, text in texts.items()
    }
    known = {split: set(each) for split, each in hashes.items()}
    pairs = (("test", "train"), ("test", "validation"), ("validation", "train"))
    return {(split, other): sum(each in known[other] for each in hashes[split]) for split, other in pairs}


def count(number: int, noun: str) -> str:
    """Return a number and its noun, as in `1 document` or `2 documents`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
