"""Evaluator of models over a closed vocabulary. n queries, V vocabulary size."""

import functools
from collections.abc import Callable
from typing import Any

import torch

from bench.data.vocabulary import Vocabulary
from bench.evaluation.evaluator import Evaluator
from bench.evaluation.exact_decoder import ANSWERS, ExactDecoder
from bench.evaluation.generation import generate
from bench.evaluation.generation_batch import generate_batch
from bench.evaluation.score import EvaluationData, ScoredText, score, validation_halves, validation_nats
from bench.evaluation.validation import validate
from bench.models.language_model import ClosedVocabularyModel


class WordEvaluator(Evaluator):
    """Evaluator of a model with features and scores; generation and decode latency use one exact decoder.

    Both validation and test figures use the same scores of the validation text.
    """

    def __init__(self, model: ClosedVocabularyModel):
        super().__init__(model)
        self.exact_decoder = functools.cache(lambda unk: ExactDecoder(model, unk))
        self.validation_halves = functools.cache(functools.partial(validation_halves, model))

    def score(self, data: EvaluationData) -> ScoredText:
        return score(self.model, data, self.validation_halves(data))

    def validation_nats(self, data: EvaluationData) -> float:
        return validation_nats(self.model, data, self.validation_halves(data))

    def validate(self, data: EvaluationData) -> dict[str, float]:
        return validate(self.model, data)

    def generate(self, vocabulary: Vocabulary, prompt: list[int], count: int, **options: Any) -> list[str]:
        return generate(self.model, self.exact_decoder(vocabulary.unk), vocabulary, prompt, count, **options)

    def generate_batch(
        self, vocabulary: Vocabulary, prompts: list[list[int]], count: int, **options: Any
    ) -> list[list[str]]:
        """Generate the continuations of all prompts in one batch."""
        decoder = self.exact_decoder(vocabulary.unk)
        return generate_batch(self.model, decoder, vocabulary, prompts, count, **options)

    def decoder(self, data: EvaluationData, most_queries: int) -> Callable[[int], torch.Tensor]:
        """Return exact search for features at the beginnings of validation documents, repeated if these are too few."""
        exact = self.exact_decoder(data.vocabulary.unk)
        answers = min(ANSWERS, len(data.vocabulary))
        with torch.inference_mode():
            features = self.model.features(data.validation.head(most_queries), "validation")
            features = features.repeat(-(-most_queries // len(features)), 1)
        for queries in (1, most_queries):  # one query and several queries use different copies of the table
            exact.best(features[:queries], answers)
        return lambda queries: exact.best(features[:queries], answers)
