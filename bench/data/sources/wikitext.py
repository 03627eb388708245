"""WikiText-2 and WikiText-103 from the hub or from a local copy."""

import functools
import itertools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import hub
from bench.core.errors import SettingError
from bench.core.files import list_text_files
from bench.data.collect import SPLITS, collect, in_blocks, write_corpus
from bench.data.corpus import Corpus
from bench.data.corpus_cache import cached_corpus, stamps_of, text_sha256, watched
from bench.data.sources.files import read_utf8_parts
from bench.data.splits import SPLIT_NAMES, split_name

ORIGIN = "WikiText's own splits"


@functools.cache
def wikitext(
    subset: str, path: str | int | float | None = None, lowercase: bool = True, cache_dir: str | None = None
) -> Corpus:
    """Return WikiText with its own splits, a document per article, from the hub or a local copy.

    Args:
        subset: `wikitext-2-raw-v1` or `wikitext-103-raw-v1`.
        path: a folder that `datasets` wrote (`save_to_disk`), or that holds parquet files (`train-….parquet`,
            `train/0000.parquet`) or plain files (`wiki.train.tokens`, `wiki.train.raw`), or a clone of the hub's
            repository, of which the sub-folder named `subset` is read; null for the hub.
        cache_dir: folder that keeps the tokenised text; null tokenises the text again in every process.

    Raises:
        SettingError: the hub is out of reach, the folder is not such a copy, or it holds one split several times.
    """
    folder = find_copy(subset, path)

    def fill(temporary: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
        splits = read_splits(folder, path, subset)
        blocks = (in_blocks(([each] for each in articles(splits[split])), i) for i, split in enumerate(SPLITS))
        collected = collect(temporary, itertools.chain.from_iterable(blocks), lowercase, heartbeat)
        documents = {split: np.flatnonzero(collected.groups == group) for group, split in enumerate(SPLITS)}
        return {**write_corpus(temporary, subset, collected, documents), "origin": ORIGIN}

    if not folder.is_dir():
        raise unreadable(path, subset, NotADirectoryError())
    files = list_text_files(folder)
    before = stamps_of(files)
    settings = {"source": "wikitext", "sha256": text_sha256(folder, files, before, cache_dir), "lowercase": lowercase}
    return cached_corpus(subset, settings, cache_dir, watched(fill, files, before))


def find_copy(subset: str, path: str | int | float | None) -> Path:
    """Return the folder of a local copy, or of the hub's files in its local cache, fetched if the cache lacks them.

    Raises:
        SettingError: the hub is out of reach.
    """
    try:
        if path is None:
            folder = hub.fetch("Salesforce/wikitext", [f"{subset}/*.parquet"], kind="dataset", ignore=None)
        else:
            folder = Path(str(path)).expanduser()
    except Exception as error:  # the hub client raises many types; each means the same to the user
        raise unreadable(path, subset, error) from error
    return folder / subset if (folder / subset).is_dir() else folder


def read_splits(folder: Path, path: str | int | float | None, subset: str) -> dict[str, list[str]]:
    """Return the lines of all three splits.

    Raises:
        SettingError: the folder is no copy of WikiText, or holds one split several times.
    """
    try:
        splits = read_lines(folder)
        return {split: splits[split] for split in SPLITS}
    except SettingError:
        raise
    except Exception as error:  # pyarrow raises many types; each means the same to the user
        raise unreadable(path, subset, error) from error


def unreadable(path: str | int | float | None, subset: str, error: Exception) -> SettingError:
    """Return the error of a copy that cannot be read."""
    where = path or f"Salesforce/wikitext {subset} on the hub"
    return SettingError(
        "corpus",
        f"cannot read {where} ({type(error).__name__}); give a local copy by corpus.path=FOLDER, "
        "or use corpus=wiki_sample, which needs no network",
    )


def read_lines(folder: Path) -> dict[str, list[str]]:
    """Return the lines of each split that a folder holds; no script of a dataset is run, and no other cache is read.

    Raises:
        SettingError: the folder holds one split several times.
    """
    if (folder / "dataset_dict.json").is_file():
        import datasets

        return {split: list(rows["text"]) for split, rows in datasets.load_from_disk(folder).items()}
    copies: dict[str, dict[str, list[Path]]] = {}  # split -> copy of it -> files
    for file in list_text_files(folder):
        name, by_folder = split_name(file.relative_to(folder))
        if name is not None and file.suffix in READERS:
            home = next(p for p in file.parents if p.name.lower() == name).parent if by_folder else file.parent
            copies.setdefault(SPLIT_NAMES[name], {}).setdefault(f"{home}/*{file.suffix}", []).append(file)
    for split, files in copies.items():
        if len(files) > 1:
            problem = (
                f"{folder} holds the {split} split {len(files)} times ({', '.join(files)}); give the folder of one"
            )
            raise SettingError("corpus.path", problem)
    return {
        split: [line for files in copy.values() for file in files for line in READERS[file.suffix](file)]
        for split, copy in copies.items()
    }


def read_parquet(file: Path) -> list[str]:
    """Return the lines of one of the hub's parquet files."""
    from pyarrow.parquet import read_table

    return read_table(file, columns=["text"])["text"].to_pylist()


def read_plain(file: Path) -> list[str]:
    """Return the lines of one of WikiText's plain files."""
    return re.findall(r".*\n|.+", "".join(read_utf8_parts(file)))


READERS: dict[str, Callable[[Path], list[str]]] = {  # suffix -> reader
    ".parquet": read_parquet,
    ".tokens": read_plain,
    ".raw": read_plain,
}


def articles(lines: Iterable[str]) -> list[str]:
    """Return WikiText's articles: each begins with a heading between single equals signs."""
    documents: list[list[str]] = [[]]
    for line in lines:
        if re.fullmatch(r"\s*= [^=](?:.*[^=])? =\s*", line):
            documents.append([])
        documents[-1].append(line)
    return ["".join(document) for document in documents if document]
