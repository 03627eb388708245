"""Interpolated Kneser-Ney n-gram as a language model. N positions, V vocabulary size."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bench.data.corpus import Corpus, Text
from bench.data.vocabulary import Vocabulary
from bench.models.kneser_ney import KneserNey
from bench.models.language_model import ClosedVocabularyModel


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
    """

    def __init__(self, *, corpus: Corpus, vocabulary: Vocabulary, order: Annotated[int, Field(ge=1, le=7)]):
        self.vocabulary = vocabulary
        documents = [vocabulary.encode(words).astype(np.int64) for words in corpus.train.documents()]
        self.model = KneserNey(documents, len(vocabulary), order)

    def features(self, text: Text, split: str | None) -> Tensor:
        """Return the code of the n - 1 words before each position. [N, 1] int64"""
        length = self.model.order - 1
        codes = [self.model.context_codes(self.vocabulary.encode(words), length) for words in text.documents()]
        return torch.from_numpy(np.concatenate(codes))[:, None]

    def proceed(self, states: tuple[Tensor], words: Tensor) -> tuple[Tensor]:
        """Return the codes after one more word per sequence. [n, 1], [n] -> [n, 1]"""
        length = self.model.order - 1
        return ((states[0] * self.model.base + words[:, None]) % self.model.base**length,)

    def scores(self, features: Tensor) -> Tensor:
        """Return log-probabilities. [N, 1] -> [N, V]"""
        return torch.from_numpy(self.model.probabilities(features[:, 0].numpy())).log().float()
