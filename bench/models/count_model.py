"""Interpolated Kneser-Ney n-gram as a language model. N positions, V vocabulary size."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.corpus import Corpus
from bench.data.text import Text, chunks
from bench.data.vocabulary import Vocabulary
from bench.models.kneser_ney import KneserNey, codes_fit, context_codes
from bench.models.language_model import ClosedVocabularyModel

CACHED_CELLS = 2**17  # probabilities that are computed together: 512 KiB, which stay in the cache of a core


class CodedContextModel(ClosedVocabularyModel):
    """Density whose features are an integer code of the last words; a state holds these features and nothing else."""

    def states(self, text: Text, split: str | None) -> tuple[Tensor]:
        """Return the features as the only tensor of the state. [N, 1] int64"""
        return (self.features(text, split),)


class CountModel(CodedContextModel):
    """Interpolated Kneser-Ney n-gram: the floor that a neural model must beat to be worth its cost.

    Args:
        corpus: corpus whose training split is counted.
        vocabulary: maps words to the V ids.
        order: n of the n-gram; 1 is the unigram model.

    Raises:
        SettingError: contexts of this order have no codes of 63 bits at this V.
    """

    def __init__(self, *, corpus: Corpus, vocabulary: Vocabulary, order: Annotated[int, Field(ge=1, le=7)]):
        self.vocabulary = vocabulary
        if not codes_fit(len(vocabulary), order - 1):
            highest = next(n for n in range(order, 0, -1) if codes_fit(len(vocabulary), n - 1))
            problem = (
                f"{order} needs contexts of more than 63 bits at V = {len(vocabulary):,}; choose at most {highest}"
            )
            raise SettingError("system.model.order", problem)
        words = np.empty(len(corpus.train), np.int32)
        contexts = np.empty(len(words), np.int64)
        for chunk, symbols, depths in self.symbols(corpus.train, order - 1):
            before = len(symbols) - (chunk.stop - chunk.start)
            words[chunk] = symbols[before:]
            contexts[chunk] = context_codes(symbols, depths, len(vocabulary), order - 1)[before:]
        self.model = KneserNey.counted(contexts, words, len(vocabulary), order)

    def symbols(self, text: Text, before: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield each chunk of a text, its ids, and the number of words before each id in its document.

        Both arrays cover the chunk and up to `before` ids ahead of it, which its first contexts read.
        """
        for chunk in chunks(len(text)):
            begin = max(0, chunk.start - before)
            positions = np.arange(begin, chunk.stop)
            document = np.searchsorted(text.starts, positions, side="right") - 1
            yield chunk, self.vocabulary.encode(text.words[begin : chunk.stop]), positions - text.starts[document]

    def features(self, text: Text, split: str | None) -> Tensor:
        """Return the code of the n - 1 words before each position. [N, 1] int64"""
        length = self.model.order - 1
        codes = np.empty(len(text), np.int64)
        for chunk, symbols, depths in self.symbols(text, length):
            codes[chunk] = self.model.context_codes(symbols, length, depths)[
                len(symbols) - (chunk.stop - chunk.start) :
            ]
        return torch.from_numpy(codes)[:, None]

    def proceed(self, states: tuple[Tensor], words: Tensor) -> tuple[Tensor]:
        """Return the codes after one more word per sequence. [n, 1], [n] -> [n, 1]"""
        base, length = self.model.base, self.model.order - 1
        without_oldest = states[0] % base ** max(0, length - 1)  # first: its product with the base fits 63 bits
        return ((without_oldest * base + words[:, None]) % base**length,)

    def scores(self, features: Tensor) -> Tensor:
        """Return log-probabilities, each context computed once. [N, 1] -> [N, V]"""
        contexts, row = np.unique(features[:, 0].numpy(), return_inverse=True)
        log_p = np.empty((len(contexts), len(self.vocabulary)), np.float32)
        at_once = max(1, CACHED_CELLS // len(self.vocabulary))
        for begin in range(0, len(contexts), at_once):
            some = slice(begin, begin + at_once)
            np.log(self.model.probabilities(contexts[some], np.float32), out=log_p[some])
        return torch.from_numpy(log_p)[torch.from_numpy(row)]
