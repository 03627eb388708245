"""Training batches of contiguous word streams, and the backbone's inputs at any positions of a text.

The order of documents depends on (seed, epoch) only, so a run can be repeated. B streams, T steps, N positions,
V vocabulary size, D size of target vectors, E size of input vectors.
"""

import functools
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
    """Next T steps of B streams; the streams continue those of the previous batch, except if `fresh`."""

    inputs: Tensor  # [B, T] ids of the preceding words, V at a document's start; or their vectors [B, T, E]
    words: Tensor  # [B, T] ids to predict
    vectors: Tensor | None  # [B, T, D] target vectors of the words to predict; None except for targets.level=token
    fresh: bool  # True for the first batch of an epoch: the backbone starts from its initial state

    @property
    def trained_words(self) -> int:
        """Number of words to predict."""
        return self.words.numel()


class Inputs:
    """Inputs of a backbone: ids, or an encoder's vectors of the words so far.

    The input at a position is the word before that position.

    Args:
        vocabulary: maps words to ids; the id V stands for the start of a document.
        encoder: encoder whose vectors replace the ids; None for ids.
    """

    def __init__(self, vocabulary: Vocabulary, encoder: Encoder | None = None):
        self.vocabulary, self.encoder = vocabulary, encoder
        self.vectors = functools.cache(self._vectors)

    @property
    def width(self) -> int | None:
        """Size of an input vector, E; None for ids."""
        return None if self.encoder is None else self.encoder.width

    def _vectors(self, split: str) -> np.ndarray:
        """Return the encoder's vectors of one split. [N, E]"""
        return self.encoder.encode(self.vocabulary.corpus, split).vectors

    def at(self, text: Text, split: str | None, positions: np.ndarray) -> Tensor:
        """Return the inputs at these positions of a text. [...] -> ids [...] or vectors [..., E]

        Args:
            split: name of the split that the text is, so that cached vectors can be used; None for any other text.
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
        vectors[first] = 0  # no word precedes the first position of a document
        return torch.from_numpy(vectors)


class Streams(Steps):
    """Endless training stream: the documents of an epoch in random order, concatenated and cut into B equal parts.

    A batch reads its own words from the text, so that no copy of the text is made.
    """

    def __init__(self, inputs: Inputs, targets: Targets | None, *, streams: int, steps: int, seed: int):
        super().__init__(streams, "batch.streams")
        self.text, self.inputs, self.targets = inputs.vocabulary.corpus.train, inputs, targets
        self.streams, self.steps, self.seed = streams, steps, seed
        self.columns = len(self.text) // streams  # words per stream and epoch
        self.cached_order = functools.lru_cache(maxsize=1)(self.order)  # of the current epoch only

    def batch(self, step: int) -> Batch:
        """Return the batch of a training step, counted over all epochs; a process reads its share of the streams."""
        epoch, step_of_epoch = divmod(step, -(-self.columns // self.steps))
        columns = np.arange(step_of_epoch * self.steps, min((step_of_epoch + 1) * self.steps, self.columns))
        positions = self.positions(epoch, columns)[self.rank :: self.world]  # [B, T]
        vectors = None if self.targets is None else self.targets.at(positions)
        inputs = self.inputs.at(self.text, "train", positions)
        words = torch.from_numpy(self.inputs.vocabulary.encode(self.text.words[positions])).long()
        return Batch(inputs, words, vectors, fresh=step_of_epoch == 0)

    def positions(self, epoch: int, columns: np.ndarray) -> np.ndarray:
        """Return the positions of the training text at these columns of every stream. [T] -> [B, T] int64"""
        offsets, ends = self.cached_order(epoch)
        places = np.arange(self.streams)[:, None] * self.columns + columns
        document = np.searchsorted(ends, places, side="right")
        return offsets[document] + places

    def order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the documents in the order of an epoch: offset from place to position, and end. [D], [D] int64"""
        shuffled = np.random.default_rng((self.seed, epoch)).permutation(len(self.text.starts) - 1)
        lengths = np.diff(self.text.starts)[shuffled]
        ends = np.cumsum(lengths)
        return self.text.starts[:-1][shuffled] - (ends - lengths), ends


class WordData(StepData):
    """Data module that yields the training split as streams.

    Args:
        inputs: inputs of the backbone.
        targets: target vectors per occurrence; None if the head learns from ids or from vectors of word types.
        streams: number of streams, B.
        steps: number of words that gradients are propagated back over, T.
        seed: seed of the order of documents.

    Raises:
        SettingError: the text has fewer words than streams.
    """

    def __init__(self, inputs: Inputs, targets: Targets | None, *, streams: int, steps: int, seed: int):
        words = len(inputs.vocabulary.corpus.train)
        if words < streams:
            raise SettingError(
                "batch.streams", f"{streams} is more than the {words} words of the training text; lower it"
            )
        super().__init__(Streams(inputs, targets, streams=streams, steps=steps, seed=seed))
