"""Words -> contextual vectors of a BERT-family encoder, cached on disk.

N words of a split, n of a document, D the width.
"""

import functools
import hashlib
import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench import checkpoint
from bench.errors import SettingError
from bench.reader import Reader
from bench.text import Corpus

CHOICES = {
    "context": ("causal", "prefix", "bidirectional"),
    "pooling": ("mean", "first", "last"),
    "special_tokens": ("cls", "both", "none"),
    "precision": ("auto", "bf16", "fp32"),
}
SCHEME = 1  # raise it when the same settings come to give other vectors: old caches then go unread

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Encoded:
    """One split's vectors, and what making them took, be it now or when the cache was filled."""

    vectors: np.memmap  # [N, D] float16, read-only
    seconds: float


class Encoder:
    """Reads each word in its context; the model is loaded when a vector is asked for that no cache holds.

    Args:
        source: null for the embedded MiniLM, a local folder, or a name on the hub.
        context: `causal`: consecutive windows under a causal mask. `prefix`: a pass of its own for each word,
            over the window that ends at it (exact). `bidirectional`: windows, no mask: it sees the future.
        window: words of a pass at most; fewer where their pieces would overfill the model.
        layer: whose output is read: 0 the embeddings, -1 the last; none above it is computed.
        pooling: of a word's own pieces: `mean`, `first`, `last`.
        special_tokens: `cls` before the words, `both`: [SEP] after them too (unless causal), `none`.
        precision: of weights and arithmetic: `bf16`, `fp32`, `auto` (the attribute says which it came to).
        cache_dir: the vectors lie below it.
        device: None is the GPU, where there is one.

    Raises:
        SettingError: no such choice, or no BERT-family model there.
    """

    def __init__(
        self,
        source: str | None,
        *,
        context: str = "causal",
        window: int = 128,
        layer: int = -1,
        pooling: str = "mean",
        special_tokens: str = "cls",
        precision: str = "auto",
        cache_dir: str | Path,
        device: torch.device | str | None = None,
    ):
        reading = {"context": context, "pooling": pooling, "special_tokens": special_tokens}
        for name, value in {**reading, "precision": precision}.items():
            if value not in CHOICES[name]:
                raise SettingError(f"targets.{name}", f"{value} is not one of {', '.join(CHOICES[name])}")
        if not isinstance(window, int) or window < 1:
            raise SettingError("targets.window", f"{window} is not a positive number of words")
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.precision = best_precision(self.device) if precision == "auto" else precision
        self.folder = checkpoint.locate(source)
        self.config = checkpoint.read_config(self.folder, layer)
        self.width: int = self.config.hidden_size
        self.weights_sha256 = checkpoint.weights_sha256(self.folder)
        self.options = {**reading, "window": window}
        self.cache = Path(cache_dir).expanduser() / "vectors"

    def encode(self, corpus: Corpus, split: str) -> Encoded:
        """One split's vectors, from the cache or into it: processes that start at once encode once.

        Raises:
            SettingError: the vectors do not fit the disk, or this model cannot do what the settings ask.
        """
        settings = {
            **self.options,
            "layer": self.config.num_hidden_layers,
            "precision": self.precision,
            "weights_sha256": self.weights_sha256,
            "files_sha256": checkpoint.digest({*self.folder.glob("*.json"), *checkpoint.tokenizer_files(self.folder)}),
            "text_sha256": corpus.fingerprint(split),
            "scheme": SCHEME,
        }
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        path, shape = self.cache / f"{key}.npy", (len(getattr(corpus, split)), self.width)
        found = open_cached(path, shape)
        if found is None:
            self.cache.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                found = open_cached(path, shape)  # another process may have made it meanwhile
                if found is None:
                    if path.exists():
                        log.warning("%s is damaged; encoding the %s split again", path, split)
                    self._write(path, settings, corpus, split)
                    found = open_cached(path, shape)
        return found

    def vectors(self, words: list[str]) -> torch.Tensor:
        """One document's words -> what `encode` would store rounded to float16. [n, D] float32, on the CPU"""
        lexicon, indices = np.unique(words, return_inverse=True)
        out = torch.empty(len(words), self.width)
        for positions, vectors in self._reader.read(lexicon.tolist(), indices, np.array([0, len(words)])):
            out[positions] = vectors
        return out

    @functools.cached_property
    def _reader(self) -> Reader:
        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[self.precision]
        return Reader(self.folder, self.config, dtype=dtype, device=self.device, **self.options)

    def _write(self, path: Path, settings: dict[str, Any], corpus: Corpus, split: str) -> None:
        """Encode into a temporary file that takes its place when whole, so that memory holds one batch."""
        begin, text = time.perf_counter(), getattr(corpus, split)
        needed, free = 2 * len(text) * self.width, shutil.disk_usage(path.parent).free
        if needed > free:  # a mapped file that outgrows its disk would kill the process
            raise SettingError("cache_dir", f"{needed >> 20} MiB do not fit, {free >> 20} are free; give another")
        temporary = path.with_suffix(".tmp")
        out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=(len(text), self.width))
        shown = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[speed]}"))
        with Progress(*shown, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(f"encoding {corpus.name}, {split}", total=len(text), speed="")
            for positions, vectors in self._reader.read(corpus.lexicon, text.words, text.starts):
                out[positions] = finite(vectors.half())
                speed = f"{progress.tasks[task].speed or 0:,.0f} words/s"
                progress.update(task, advance=len(positions), speed=speed)
        out.flush()
        seconds = round(time.perf_counter() - begin, 3)
        beside = {**settings, "corpus": corpus.name, "split": split, "shape": out.shape, "seconds": seconds}
        path.with_suffix(".json").write_text(json.dumps(beside, indent=1))
        temporary.replace(path)
        del self._reader  # else the peak memory of a cold run would differ from a cached one's


def open_cached(path: Path, shape: tuple[int, int]) -> Encoded | None:
    """The vectors of an earlier run, None where there are none of this shape."""
    try:
        vectors = np.load(path, mmap_mode="r")
        seconds = json.loads(path.with_suffix(".json").read_text())["seconds"]
    except (OSError, EOFError, ValueError, KeyError):
        return None
    return Encoded(vectors, seconds) if vectors.shape == shape and vectors.dtype == np.float16 else None


def finite(vectors: torch.Tensor) -> torch.Tensor:
    """The same, for one that is not would spoil every mean and rank it reaches unseen."""
    if not vectors.isfinite().all():
        raise SettingError("targets.encoder", "some vectors are infinite or no numbers in float16; give another")
    return vectors


def best_precision(device: torch.device) -> str:
    """bf16 where the hardware computes in it, fp32 elsewhere."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported()
    return "bf16" if fast else "fp32"
