"""Contiguous streams of words for training; whole documents for evaluation.

B streams, T steps, D embedding size. The order is a function of (seed, epoch) alone, so a run can be repeated.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.corpus import Text
from bench.data.step_batches import StepData, Steps
from bench.data.vocabulary import Vocabulary
from bench.targets.encoder import Encoder
from bench.targets.tables import Targets


class Batch(NamedTuple):
    """B streams that continue those of the batch before, unless `fresh`."""

    inputs: Tensor  # [B, T] ids of the words before, V at a document's start; or their vectors [B, T, E]
    words: Tensor  # [B, T] ids to predict
    vectors: Tensor | None  # [B, T, D] the target vectors of these occurrences, where targets.level=token
    fresh: bool  # the first of an epoch: states start from nothing

    @property
    def trained_words(self) -> int:
        return self.words.numel()


class Inputs:
    """What a backbone reads: ids, or an encoder's vectors of the words so far. Each position sees the word before it.

    Args:
        vocabulary: gives ids; V stands for the start of a document.
        encoder: whose vectors are read instead; None for ids.
    """

    def __init__(self, vocabulary: Vocabulary, encoder: Encoder | None = None):
        self.vocabulary, self.encoder = vocabulary, encoder
        self.vectors = functools.cache(self._vectors)

    @property
    def width(self) -> int | None:
        """E; None for ids."""
        return None if self.encoder is None else self.encoder.width

    def _vectors(self, split: str) -> np.ndarray:
        """[N, E] of one split."""
        return self.encoder.encode(self.vocabulary.corpus, split).vectors

    def read(self, text: Text, split: str | None, positions: np.ndarray) -> Tensor:
        """The inputs at these positions of a text. [...] -> [...] ids or [..., E] vectors

        Args:
            split: whose text it is, so that vectors made before can be used; None for another text.
        """
        document = np.searchsorted(text.starts, positions, side="right") - 1
        first, before = text.starts[document] == positions, np.maximum(positions - 1, 0)
        if self.encoder is None:
            ids = self.vocabulary.encode(text.words[before])
            return torch.from_numpy(np.where(first, len(self.vocabulary), ids).astype(np.int64))
        if split:
            whole = self.vectors(split)
        else:
            whole = self.encoder.vectors(self.vocabulary.corpus.words_of(text.words)).numpy()
        vectors = whole[before].astype(np.float32)
        vectors[first] = 0  # no word yet
        return torch.from_numpy(vectors)


class Streams(Steps):
    """An endless training stream: documents in a random order an epoch, laid end to end, cut into B equal parts."""

    def __init__(self, inputs: Inputs, targets: Targets | None, *, streams: int, steps: int, seed: int):
        super().__init__(streams, "batch.streams")
        vocabulary = inputs.vocabulary
        self.text, self.inputs, self.targets = vocabulary.corpus.train, inputs, targets
        self.ids = vocabulary.encode(self.text.words)  # [N] int32
        self.before = None if inputs.encoder else self.read(np.arange(len(self.text))).int().numpy()  # [N]
        self.streams, self.steps, self.seed = streams, steps, seed
        self.latest = functools.lru_cache(maxsize=1)(self.order)  # epochs come one after the other

    def batch(self, step: int) -> Batch:
        epoch, turn = divmod(step, -(-(len(self.text) // self.streams) // self.steps))
        at = self.latest(epoch)[self.rank :: self.world, turn * self.steps : (turn + 1) * self.steps]
        vectors = None if self.targets is None else self.targets.at(at)
        inputs = self.read(at) if self.before is None else torch.from_numpy(self.before[at]).long()
        return Batch(inputs, torch.from_numpy(self.ids[at]).long(), vectors, fresh=turn == 0)

    def read(self, at: np.ndarray) -> Tensor:
        """The inputs at these positions. [...] -> [...] ids or [..., E] vectors"""
        return self.inputs.read(self.text, "train", at)

    def order(self, epoch: int) -> np.ndarray:
        """Positions of the training text, a row a stream. [B, N // B]"""
        spans = list(itertools.pairwise(self.text.starts.tolist()))
        shuffled = np.random.default_rng((self.seed, epoch)).permutation(len(spans))
        positions = np.concatenate([np.arange(*spans[i]) for i in shuffled])
        columns = len(positions) // self.streams
        return positions[: columns * self.streams].reshape(self.streams, columns)


class WordData(StepData):
    """The training split as streams.

    Args:
        inputs: what the backbone reads.
        targets: gives the vectors of the occurrences; None where heads learn from ids or from type vectors.
        streams: B.
        steps: T, how far gradients reach back.
        seed: of the order of the documents.

    Raises:
        SettingError: no stream or no step, or a text that is shorter than one word a stream.
    """

    def __init__(self, inputs: Inputs, targets: Targets | None, *, streams: int, steps: int, seed: int):
        words = len(inputs.vocabulary.corpus.train)
        for name, value in {"streams": streams, "steps": steps}.items():
            if not isinstance(value, int) or value < 1:
                raise SettingError(f"batch.{name}", f"{value} is not a positive whole number")
        if words < streams:
            raise SettingError(
                "batch.streams", f"{streams} is more than the {words} words of the training text; lower it"
            )
        super().__init__(Streams(inputs, targets, streams=streams, steps=steps, seed=seed))
