"""Variants of reading a text with the target encoder: ours by context, and baselines that a user would write, in fp32.

Legend: N words of a text, S spans that passes read, B rows of a batch, T positions of a row, D width of the encoder.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bench.data.corpus import Corpus
from bench.data.text import Text, concatenate
from bench.targets.encoder import Encoder
from bench.targets.encoder_forward import EncoderModel

DOCUMENTS = 4  # documents of a sample; a variant with one pass per word reads one of them per round

ROWS = 32  # spans per batch of a plain reader


class PlainReader(EncoderModel):
    """Baseline: windows in the order of the text, ROWS per batch, padded and masked, through the whole model.

    Causal rows get the attention mask too, which they do not need as their padding comes last: a user would pass it.
    """

    def shortened(self) -> None:
        return None

    def outputs(self, ids: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        device = self.model.device
        mask = None if real is None else real.to(device)
        return self.model(ids.to(device), attention_mask=mask, use_cache=False)[0]

    def batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(lengths), ROWS):
            yield np.arange(start, min(start + ROWS, len(lengths)))


class EqualLengthReader(PlainReader):
    """Baseline: one forward pass per word, batched by length, so that no row is padded."""

    def batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        for length in np.unique(lengths):
            spans, size = np.flatnonzero(lengths == length), self.rows(int(length))
            for start in range(0, len(spans), size):
                yield spans[start : start + size]


@dataclass(frozen=True, kw_only=True)
class EncoderVariant:
    """Contender of the encoder's ledger. All variants have the same encoder, except for context and window."""

    name: str
    encoder: Encoder
    baseline: type[EncoderModel] | None = None  # None: this project's reader

    @property
    def context(self) -> str:
        return self.encoder.options["context"]

    @property
    def window(self) -> int:
        return self.encoder.options["window"]

    @property
    def precision(self) -> str:
        return self.encoder.precision if self.baseline is None else "fp32"

    @property
    def one_pass_per_word(self) -> bool:
        """True if every word has a forward pass of its own, which takes tens of times as long."""
        return self.context == "prefix"

    def build(self) -> EncoderModel:
        """Load the model again, so that no two models are in memory at once."""
        return self.encoder.load_model(self.baseline or EncoderModel, precision=self.precision)


@dataclass(frozen=True, eq=False)
class Sample:
    """Text as ids into its own list of types; all variants share the types' spelling in pieces."""

    lexicon: list[str]
    text: Text

    def document(self, nth: int) -> "Sample":
        """Return one document of the text."""
        return Sample(self.lexicon, concatenate([self.text.documents()[nth]]))

    def isolated_types(self) -> "Sample":
        """Return each type once, in a document of its own."""
        types = np.arange(len(self.lexicon))
        return Sample(self.lexicon, Text(types.astype(np.int32), np.append(types, len(types))))

    def cut(self, words: int) -> "Sample":
        """Return the same words in documents of at most this length."""
        parts = [
            document[at : at + words] for document in self.text.documents() for at in range(0, len(document), words)
        ]
        return Sample(self.lexicon, concatenate(parts))


def make_sample(corpus: Corpus, words: int) -> Sample:
    """Return the beginnings of DOCUMENTS training documents, spread over the corpus; fewer if the corpus has fewer.

    Args:
        words: of all beginnings together.
    """
    share = -(-words // DOCUMENTS)
    documents = corpus.train.documents()
    long_enough = [each for each in documents if len(each) >= share] or documents
    chosen = np.unique(np.linspace(0, len(long_enough) - 1, DOCUMENTS).astype(int))
    text = concatenate([long_enough[i][:share] for i in chosen])
    types, indices = np.unique(text.words, return_inverse=True)
    return Sample(corpus.words_of(types), Text(indices.astype(np.int32), text.starts))


def encode(reader: EncoderModel, sample: Sample) -> np.ndarray:
    """Spell and encode a sample. -> [N, D] float32"""
    pieces, begins = reader.tokenize(sample.lexicon, sample.text.words)
    return encode_pieces(reader, pieces, begins, sample.text.starts)


def encode_pieces(reader: EncoderModel, pieces: np.ndarray, begins: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Run the passes alone: spelling is not timed, as each type is spelt once, a small cost over a whole text.

    -> [N, D] float32
    """
    vectors: Any = None
    for positions, of_batch in reader.passes(pieces, begins, starts):
        if vectors is None:
            vectors = np.empty((len(begins) - 1, of_batch.shape[1]), np.float32)
        vectors[positions] = of_batch.numpy()
    return vectors
