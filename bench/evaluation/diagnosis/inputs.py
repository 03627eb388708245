"""Inputs of a diagnosis: a trained regressor, a reference distribution, and the features of both at the same positions.

n positions of a block, N positions, H hidden size, D embedding size, V vocabulary size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SettingError
from bench.evaluation.calibration import Calibration, fit
from bench.evaluation.score import CELLS, EvaluationData, evenly_spaced, kept, vocabulary_ids
from bench.heads._regressor import Regressor
from bench.models.language_model import ClosedVocabularyModel
from bench.models.stored_predictions import StoredPredictions
from bench.models.word_model import WordModel
from bench.targets.tables import Targets

OCCURRENCES = 2**15  # training occurrences whose vectors are averaged at once; bounds memory


class Inputs(NamedTuple):
    """Positions of one split as the regressor and the reference see them; a block of positions has the same fields."""

    features: Tensor  # of the regressor [N, H]
    reference_features: Tensor  # [N, …]
    words: Tensor  # ids of the true words [N]
    vectors: Tensor  # true target vectors: of the occurrences at level `token`, else rows of the table [N, D]

    def spaced(self, count: int) -> "Inputs":
        """Return at most `count` positions, evenly spaced."""
        index = torch.from_numpy(evenly_spaced(len(self.words), count))
        return Inputs(*(each[index] for each in self))

    def blocks(self, size: int) -> Iterator["Inputs"]:
        """Yield blocks of at most `CELLS` scores of `size` words."""
        yield from (Inputs(*parts) for parts in zip(*(each.split(max(1, CELLS // size)) for each in self), strict=True))


@dataclass(frozen=True, eq=False)
class Case:
    """A regressor, and the reference that it is compared with.

    Attributes:
        model: trained word model whose head is a `Regressor`, or predictions of another program.
        targets: targets of the head.
        reference: model whose distribution is used as p(word | context): a softmax, or the true distribution if known.
        known_calibration: calibration of the reference; None fits it on validation, as for every model.
        data: validation and test texts, the same for both models.
    """

    model: WordModel | StoredPredictions
    targets: Targets
    reference: ClosedVocabularyModel
    known_calibration: Calibration | None
    data: EvaluationData

    @property
    def head(self) -> Regressor:
        return self.model.head

    @property
    def unk(self) -> int:
        return self.data.vocabulary.unk

    @cached_property
    def log_unigram(self) -> Tensor:
        return torch.from_numpy(self.data.vocabulary.log_unigram)  # [V]

    @cached_property
    def rows(self) -> tuple[Tensor, Tensor]:
        """Rows [V, K] and offsets [V] of the head's decoder.

        Raises:
            SettingError: the head's scores are no matrix product.
        """
        decoder = self.head.rows()
        if decoder is None:
            problem = f"{type(self.head).__name__} has no rows(), which the read-outs of a diagnosis need"
            raise SettingError("RUN", f"{problem}; define rows and queries (docs/extending.md)")
        rows, offsets = decoder
        return rows, rows.new_zeros(len(rows)) if offsets is None else offsets

    def decode(self, queries: Tensor) -> Tensor:
        """Score all words by the head's decoder. [n, K] -> [n, V]"""
        return torch.addmm(self.rows[1], queries, self.rows[0].T)

    @cached_property
    def means(self) -> Tensor:
        """Mean target vector of each word: its row, or the mean over its training occurrences at level `token`. [V, D]

        E[e | context] = Σ p(w | context) · E[e | w, context]; the mean over occurrences stands for E[e | w, context].
        """
        if self.targets.level == "type":
            return self.head.target_vectors(torch.arange(len(self.log_unigram)), None)
        ids = vocabulary_ids(self.data.vocabulary, self.data.vocabulary.corpus.train)
        sums = torch.zeros(self.head.table.shape)
        for start in range(0, len(ids), OCCURRENCES):
            words = ids[start : start + OCCURRENCES]
            vectors = self.targets.at(np.arange(start, start + len(words)))
            sums.index_add_(0, words, self.head.target_vectors(words, vectors))
        return sums / ids.bincount(minlength=len(sums))[:, None]

    def inputs(self, split: str) -> Inputs:
        """Return the inputs at all positions of the validation or test split."""
        text = getattr(self.data, split)
        words = vocabulary_ids(self.data.vocabulary, text)
        vectors = None
        if self.targets.level == "token":
            encoded = self.targets.encoder.encode(self.data.vocabulary.corpus, split)
            vectors = self.targets.transform(encoded.vectors)
        return Inputs(
            self.model.features(text, split),
            self.reference.features(text, split),
            words,
            self.head.target_vectors(words, vectors),
        )

    @cached_property
    def calibration_inputs(self) -> Inputs:
        """Inputs at the validation positions on which every model is calibrated."""
        return self.inputs("validation").spaced(self.data.calibration_words)

    def calibrated(self, scores_of: Callable[[Inputs], Tensor], log_unigram: Tensor | None = None) -> Calibration:
        """Fit the calibration of a decoder on validation; `log_unigram` of zeros fits the scale alone."""
        inputs, size = self.calibration_inputs, len(self.log_unigram)

        def blocks() -> Iterator[tuple[Tensor, Tensor]]:
            yield from ((scores_of(block), block.words) for block in inputs.blocks(size))

        unigram = self.log_unigram if log_unigram is None else log_unigram
        return fit(kept(blocks, len(inputs.words) * size), unigram)

    def scores(self, block: Inputs) -> Tensor:
        """Return the regressor's scores. [n, V]"""
        return self.model.scores(block.features).float()

    @cached_property
    def calibration(self) -> Calibration:
        """Calibration of the regressor."""
        return self.calibrated(self.scores)

    @cached_property
    def scale_alone(self) -> Calibration:
        """Calibration of the regressor without a prior: the nearest word becomes the likeliest."""
        return self.calibrated(self.scores, torch.zeros_like(self.log_unigram))._replace(prior=0.0)

    @cached_property
    def reference_calibration(self) -> Calibration:
        return self.known_calibration or self.calibrated(self.reference_scores)

    def reference_scores(self, block: Inputs) -> Tensor:
        """Return the reference's scores before calibration. [n, V]"""
        return self.reference.scores(block.reference_features).float()

    def reference_log_p(self, scores: Tensor) -> Tensor:
        """Return log p(word | context) of the reference from its scores. [n, V] -> [n, V]"""
        return self.reference_calibration.logits(scores, self.log_unigram).log_softmax(1)
