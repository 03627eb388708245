"""True conditional distribution of a synthetic language as a language model.

K classes, N positions, V vocabulary size.
"""

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.corpus import Corpus, Text
from bench.data.vocabulary import Vocabulary
from bench.models.count_model import CodedContextModel


class TruthModel(CodedContextModel):
    """Distribution that the text was drawn from: the limit, which another model can beat by chance only.

    Args:
        corpus: corpus with a known language.
        vocabulary: maps words to the V ids; `<unk>` has the probability of all words without an id, including words
            that do not occur in the text.

    Raises:
        SettingError: the true distribution of the corpus is unknown.
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
        share = np.bincount(self.language.class_of, hidden)  # share of each class that has no id [K]
        self.unk_nats = -np.log(self.language.transitions @ share)  # [K²]
        # `columns`: one column per class and a last column for <unk>; `column`: the column of each id;
        # `log_share`: log of the share of each id in its class
        columns = np.column_stack([np.log(self.language.transitions), -self.unk_nats])
        self.columns = torch.from_numpy(columns)  # [K², K + 1] float64
        self.column = torch.from_numpy(np.insert(self.language.class_of[known], unk, self.language.classes))  # [V]
        self.log_share = torch.from_numpy(np.insert(np.log(self.language.in_class[known]), unk, 0.0))  # [V]

    def features(self, text: Text, split: str | None) -> Tensor:
        """Return the code of the two classes before each position. [N, 1] int64"""
        contexts = [self.language.contexts(self.words[document]) for document in text.documents()]
        return torch.from_numpy(np.concatenate(contexts))[:, None]

    def scores(self, features: Tensor) -> Tensor:
        """Return log-probabilities. [N, 1] -> [N, V]"""
        return (self.columns[features[:, 0]][:, self.column] + self.log_share).float()

    def proceed(self, states: tuple[Tensor], words: Tensor) -> tuple[Tensor]:
        """Return the codes after one more word per sequence; `<unk>` counts as the last class. [n, 1], [n] -> [n, 1]"""
        classes = self.language.classes
        known = self.column[words].clamp(max=classes - 1)
        return ((states[0] * classes + known[:, None]) % classes**2,)

    def nats_within_unk(self, text: Text) -> np.ndarray:
        """Return −log p(word | `<unk>`, words before), known exactly from the language. [N] float64"""
        contexts = self.features(text, None)[:, 0].numpy()
        return self.language.nats(contexts, self.words[text.words]) - self.unk_nats[contexts]
