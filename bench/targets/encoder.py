"""Contextual vectors of words from a BERT-family encoder, cached on disk.

N words of a split, n of a document, D the width.
"""

import copy
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, TypeVar

import numpy as np
import torch
from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench.core.disk_cache import CachedFolder, cached_folder, checked_folder, key_of
from bench.core.errors import SettingError
from bench.core.hardware import computes_bf16
from bench.core.progress import print_line
from bench.core.reserved_array import reserved
from bench.core.settings import Place
from bench.core.value_check import check_value
from bench.data.corpus import Corpus, Text
from bench.targets import encoder_files
from bench.targets.encoder_forward import EncoderModel

Model = TypeVar("Model", bound=EncoderModel)

SCHEME = 2  # raise the number when the same settings give other vectors: older caches are then ignored


class EncoderSettings(TypedDict):
    """Settings of an `Encoder`, as keys of the configuration's `targets`."""

    encoder: Place | None
    context: Literal["causal", "prefix", "bidirectional"]
    window: Annotated[int, Field(ge=1, le=2**20)]
    layer: Annotated[int, Field(ge=-1000, le=1000)]
    pooling: Literal["mean", "first", "last"]
    special_tokens: Literal["cls", "both", "none"]
    precision: Literal["auto", "bf16", "fp32"]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Vectors of one split."""

    vectors: np.memmap  # [N, D] float16, read-only
    seconds: float  # that encoding took when the cache was filled


class Encoder:
    """Encoder of each word in its context; the model is loaded when a vector is not in the cache.

    Args:
        source: null for the embedded MiniLM, a local folder, or a name on the hub.
        context: `causal`: consecutive windows under a causal mask. `prefix`: one pass per word over the window that
            ends at the word (exact). `bidirectional`: windows without a mask, which see the future.
        window: maximum number of words per pass; fewer if the model has no room for their pieces.
        layer: the layer whose output is read (0: the embeddings, -1: the last); later layers are not computed.
        pooling: over the word's pieces: `mean`, `first`, `last`.
        special_tokens: `cls` before the words, `both`: [SEP] after them too (unless causal), `none`.
        precision: of weights and arithmetic: `bf16`, `fp32`, `auto`; the attribute has the choice.
        cache_dir: folder of the cached vectors.
        device: device of the model; None: the GPU if there is one, else the CPU.

    Raises:
        SettingError: an unknown choice, or the source holds no BERT-family model.
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
        self.options = {"context": context, "pooling": pooling, "special_tokens": special_tokens, "window": window}
        for name, value in {**self.options, "precision": precision}.items():  # an unknown one would raise no error
            check_value(f"targets.{name}", value, EncoderSettings.__annotations__[name])
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        best = "bf16" if computes_bf16(self.device) else "fp32"
        self.precision = best if precision == "auto" else precision
        self.folder = encoder_files.find_encoder(source)
        self.config = encoder_files.read_config(self.folder, layer)
        self.width: int = self.config.hidden_size
        self.weights_sha256 = encoder_files.weights_sha256(self.folder)
        self.cache = Path(cache_dir).expanduser() / "vectors"

    def encode(self, corpus: Corpus, split: str) -> Encoded:
        """Return one split's vectors from the cache, filled first if need be; concurrent processes encode once.

        Raises:
            SettingError: the vectors do not fit the disk, or the model does not support the settings.
        """

        def fill(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
            begin = time.perf_counter()
            out = reserved(folder / "vectors.npy", (len(getattr(corpus, split)), self.width))
            for positions, vectors in self.read(corpus, split):  # batch by batch: memory holds a single batch
                out[positions] = vectors
                heartbeat()
            out.flush()  # raises an error of the disk before the folder counts as made
            return {"seconds": round(time.perf_counter() - begin, 3)}

        settings, what = self.cache_settings(corpus, split), f"encoding {corpus.name}, {split}"
        return encoded(cached_folder(self.cache, settings, what=what, fill=fill))

    def cached(self, corpus: Corpus, split: str) -> Encoded | None:
        """Return one split's vectors if the cache has them."""
        found = checked_folder(self.cache / key_of(self.cache_settings(corpus, split)))
        return found and encoded(found)

    def cache_settings(self, corpus: Corpus, split: str) -> dict[str, Any]:
        """Return all that the vectors of one split depend on."""
        return {
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

    def read(self, corpus: Corpus, split: str) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Yield positions of one split [n] and their vectors [n, D] float16, batch by batch, with a progress bar.

        Raises:
            SettingError: a vector is infinite or not a number.
        """
        text: Text = getattr(corpus, split)
        if split == "train":
            self.report_unknown(corpus)
        shown = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[speed]}"))
        with Progress(*shown, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(f"encoding {corpus.name}, {split}", total=len(text), speed="")
            for positions, vectors in self._model.read(corpus.lexicon, text.words, text.starts):
                yield positions, finite(vectors.half())
                speed = f"{progress.tasks[task].speed or 0:,.0f} words/s"
                progress.update(task, advance=len(positions), speed=speed)
        del self._model  # frees the model's memory: filling the cache then has the same peak as reading it

    def report_unknown(self, corpus: Corpus) -> None:
        """Print the share of words that the tokenizer does not know, such as those of another script."""
        used = corpus.counts > 0
        unknown = self._model.unknown(corpus.lexicon) & used
        if unknown.any():
            share = corpus.counts[unknown].sum() / corpus.counts.sum()
            print_line(
                f"targets.encoder: the tokenizer of {self.folder} has no pieces for {int(unknown.sum()):,} of "
                f"{int(used.sum()):,} words ({share:.2%} of the training words); their vectors differ by context alone"
            )

    def unknown_share(self, words: list[str]) -> float:
        """Return the share of words that the tokenizer has no pieces for."""
        types, counts = np.unique(words, return_counts=True)
        return float(counts[self._model.unknown(types.tolist())].sum() / counts.sum())

    def vectors(self, words: list[str]) -> torch.Tensor:
        """Return the vectors of one document's words, which `encode` rounds to float16. [n, D] float32, CPU"""
        lexicon, indices = np.unique(words, return_inverse=True)
        out = torch.empty(len(words), self.width)
        for positions, vectors in self._model.read(lexicon.tolist(), indices, np.array([0, len(words)])):
            out[positions] = vectors
        return out

    @functools.cached_property
    def _model(self) -> EncoderModel:
        return self.load_model(EncoderModel, precision=self.precision)

    def load_model(self, kind: type[Model], *, precision: str) -> Model:
        """Load the model as a `kind`."""
        dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
        return kind(self.folder, copy.deepcopy(self.config), dtype=dtype, device=self.device, **self.options)


def encoded(folder: CachedFolder) -> Encoded:
    """Return the vectors that a cached folder holds."""
    return Encoded(folder.array("vectors"), folder.figures["seconds"])


def finite(vectors: torch.Tensor) -> torch.Tensor:
    """Return the vectors if all are finite; a single other value would corrupt means and ranks.

    Raises:
        SettingError: a vector is infinite or not a number.
    """
    if not vectors.isfinite().all():
        raise SettingError("targets.encoder", "some vectors are infinite or NaN in float16; give another encoder")
    return vectors
