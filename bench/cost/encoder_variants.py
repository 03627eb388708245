"""Ways to read a text with the target encoder: ours by context, and what a user would write instead, in fp32.

N words of a text, B rows of a batch, T positions of a row, D the width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bench.data.corpus import Corpus, Text, concatenate
from bench.targets.encoder import Encoder
from bench.targets.encoder_forward import EncoderModel

STRETCHES = 4  # of the text, each of another document; what makes a pass a word reads one of them a round

ROWS = 32  # of a plain batch


class PlainReader(EncoderModel):
    """Windows in the order of the text, so many a batch, padded and masked, all of the model."""

    def shortened(self) -> None:
        return None

    def mask(self, real: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(real).to(self.model.device)

    def batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(lengths), ROWS):
            yield np.arange(start, min(start + ROWS, len(lengths)))


class EqualReader(PlainReader):
    """A forward a word, those of one length together, so that none is padded."""

    def batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        for length in np.unique(lengths):
            same, size = np.flatnonzero(lengths == length), self.rows(int(length))
            for start in range(0, len(same), size):
                yield same[start : start + size]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One contender. The encoder is the same for all but for context and window; `reader` None is ours."""

    name: str
    encoder: Encoder
    reader: type[EncoderModel] | None = None

    @property
    def context(self) -> str:
        return self.encoder.options["context"]

    @property
    def window(self) -> int:
        return self.encoder.options["window"]

    @property
    def precision(self) -> str:
        return self.encoder.precision if self.reader is None else "fp32"

    @property
    def a_word_a_pass(self) -> bool:
        """It takes tens of times as long."""
        return self.context == "prefix"

    def build(self) -> EncoderModel:
        """The model, loaded anew: no two are in memory at once."""
        return self.encoder.load_model(self.reader or EncoderModel, precision=self.precision)


@dataclass(frozen=True, eq=False)
class Sample:
    """A text over the types that it has, and their spelling in pieces, which all ways share."""

    lexicon: list[str]
    text: Text

    def stretch(self, nth: int) -> "Sample":
        """One document of it."""
        return Sample(self.lexicon, concatenate([self.text.documents()[nth]]))

    def alone(self) -> "Sample":
        """Each type once, a document of its own."""
        types = np.arange(len(self.lexicon))
        return Sample(self.lexicon, Text(types.astype(np.int32), np.append(types, len(types))))

    def cut(self, words: int) -> "Sample":
        """The same words, in documents of at most so many."""
        parts = [
            document[at : at + words] for document in self.text.documents() for at in range(0, len(document), words)
        ]
        return Sample(self.lexicon, concatenate(parts))


def sample(corpus: Corpus, words: int) -> Sample:
    """The beginnings of STRETCHES training documents, from all over the text; fewer where it has no more."""
    share = -(-words // STRETCHES)
    documents = corpus.train.documents()
    enough = [each for each in documents if len(each) >= share] or documents
    chosen = np.unique(np.linspace(0, len(enough) - 1, STRETCHES).astype(int))
    found = concatenate([enough[i][:share] for i in chosen])
    types, indices = np.unique(found.words, return_inverse=True)
    return Sample(corpus.spell(types), Text(indices.astype(np.int32), found.starts))


def vectors(reader: EncoderModel, given: Sample) -> np.ndarray:
    """[N, D] float32"""
    pieces, begins = reader.tokenize(given.lexicon, given.text.words)
    return gathered(reader, pieces, begins, given.text.starts)


def gathered(reader: EncoderModel, pieces: np.ndarray, begins: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The passes alone: a type is spelt once, which over a whole text takes nothing beside them. [N, D] float32"""
    found: Any = None
    for positions, some in reader.passes(pieces, begins, starts):
        if found is None:
            found = np.empty((len(begins) - 1, some.shape[1]), np.float32)
        found[positions] = some.numpy()
    return found
