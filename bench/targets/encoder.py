"""Words -> contextual vectors of a BERT-family encoder, cached on disk.

N words of a split, n of a document, D the width.
"""

import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench.core.array_cache import cached_array
from bench.core.errors import SettingError
from bench.core.hardware import computes_bf16
from bench.data.corpus import Corpus, Text
from bench.targets import encoder_files
from bench.targets.encoder_forward import Reader

CHOICES = {
    "context": ("causal", "prefix", "bidirectional"),
    "pooling": ("mean", "first", "last"),
    "special_tokens": ("cls", "both", "none"),
    "precision": ("auto", "bf16", "fp32"),
}

Made = TypeVar("Made", bound=Reader)

SCHEME = 1  # raise it when the same settings come to give other vectors: old caches then go unread


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
        self.folder = encoder_files.find_encoder(source)
        self.config = encoder_files.read_config(self.folder, layer)
        self.width: int = self.config.hidden_size
        self.weights_sha256 = encoder_files.weights_sha256(self.folder)
        self.options = {**reading, "window": window}
        self.cache = Path(cache_dir).expanduser() / "vectors"

    def encode(self, corpus: Corpus, split: str) -> Encoded:
        """One split's vectors, from the cache or into it: processes that start at once encode once.

        Raises:
            SettingError: the vectors do not fit the disk, or this model cannot do what the settings ask.
        """
        text = getattr(corpus, split)
        settings = {
            **self.options,
            "layer": self.config.num_hidden_layers,
            "precision": self.precision,
            "weights_sha256": self.weights_sha256,
            "files_sha256": encoder_files.digest(
                {*self.folder.glob("*.json"), *encoder_files.tokenizer_files(self.folder)}
            ),
            "text_sha256": corpus.fingerprint(split),
            "scheme": SCHEME,
        }
        what = f"encoding {corpus.name}, {split}"
        shape = (len(text), self.width)
        found = cached_array(
            self.cache, settings, shape=shape, what=what, fill=lambda out: self._fill(out, corpus, text, what)
        )
        return Encoded(found.array, found.seconds)

    def vectors(self, words: list[str]) -> torch.Tensor:
        """One document's words -> what `encode` would store rounded to float16. [n, D] float32, on the CPU"""
        lexicon, indices = np.unique(words, return_inverse=True)
        out = torch.empty(len(words), self.width)
        for positions, vectors in self._reader.read(lexicon.tolist(), indices, np.array([0, len(words)])):
            out[positions] = vectors
        return out

    @functools.cached_property
    def _reader(self) -> Reader:
        return self.reader(Reader, precision=self.precision)

    def reader(self, kind: type[Made], *, precision: str) -> Made:
        """The model, loaded anew, to be read as `kind` does."""
        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
        return kind(self.folder, copy.deepcopy(self.config), dtype=dtype, device=self.device, **self.options)

    def _fill(self, out: np.memmap, corpus: Corpus, text: Text, what: str) -> Iterator[None]:
        """Batch by batch, so that memory holds one."""
        shown = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[speed]}"))
        with Progress(*shown, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(what, total=len(text), speed="")
            for positions, vectors in self._reader.read(corpus.lexicon, text.words, text.starts):
                out[positions] = finite(vectors.half())
                speed = f"{progress.tasks[task].speed or 0:,.0f} words/s"
                progress.update(task, advance=len(positions), speed=speed)
                yield
        del self._reader  # else the peak memory of a cold run would differ from a cached one's


def finite(vectors: torch.Tensor) -> torch.Tensor:
    """The same, for one that is not would spoil every mean and rank it reaches unseen."""
    if not vectors.isfinite().all():
        raise SettingError("targets.encoder", "some vectors are infinite or no numbers in float16; give another")
    return vectors


def best_precision(device: torch.device) -> str:
    """bf16 where the hardware computes in it, fp32 elsewhere."""
    return "bf16" if computes_bf16(device) else "fp32"
