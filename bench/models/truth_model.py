"""True conditional distribution of a synthetic language as a language model.

K classes, N positions, V vocabulary size."""

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.corpus import Corpus, Text
from bench.data.vocabulary import Vocabulary
from bench.models.count_model import CodedModel


class TruthModel(CodedModel):
    """The distribution that the text was drawn from: what no model can beat but by chance.

    Args:
        corpus: one whose language is known.
        vocabulary: gives the V ids; `<unk>` has the mass of all words without one, drawn or not.

    Raises:
        SettingError: nobody knows the corpus's true distribution.
    """

    def __init__(self, *, corpus: Corpus, vocabulary: Vocabulary):
        if corpus.language is None:
            raise SettingError(
                "system", "truth is known only of corpus=synthetic; choose another system or that corpus"
            )
        self.language, self.words, unk = corpus.language, corpus.language_words, vocabulary.unk
        known = self.words[: len(vocabulary) - 1]
        hidden = self.language.in_class.copy()
        hidden[known] = 0
        share = np.bincount(self.language.class_of, hidden)  # of each class that `<unk>` hides [K]
        self.unk_nats = -np.log(self.language.transitions @ share)  # [K²]
        # a column a class, the last for <unk>; then each id's column and its share of it
        columns = np.column_stack([np.log(self.language.transitions), -self.unk_nats])
        self.columns = torch.from_numpy(columns)  # [K², K + 1] float64
        self.column = torch.from_numpy(np.insert(self.language.class_of[known], unk, self.language.classes))  # [V]
        self.log_share = torch.from_numpy(np.insert(np.log(self.language.in_class[known]), unk, 0.0))  # [V]

    def features(self, text: Text, split: str) -> Tensor:
        """The two classes before each position. [N, 1] int64"""
        contexts = [self.language.contexts(self.words[document]) for document in text.documents()]
        return torch.from_numpy(np.concatenate(contexts))[:, None]

    def scores(self, features: Tensor) -> Tensor:
        """[N, 1] -> [N, V] log-probabilities."""
        return (self.columns[features[:, 0]][:, self.column] + self.log_share).float()

    def proceed(self, states: tuple[Tensor], words: Tensor) -> tuple[Tensor]:
        """The classes after one more word each; `<unk>`, which has none, goes by the last. [n, 1], [n] -> [n, 1]"""
        classes = self.language.classes
        known = self.column[words].clamp(max=classes - 1)
        return ((states[0] * classes + known[:, None]) % classes**2,)

    def hidden_nats(self, text: Text) -> np.ndarray:
        """−log p(word | `<unk>`, the words before), as of words that have no id. [N] float64"""
        contexts = self.features(text, "")[:, 0].numpy()
        return self.language.nats(contexts, self.words[text.words]) - self.unk_nats[contexts]
