"""How a language model is measured: the contract, and the way from a model to the class that measures it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import Calibration
from bench.evaluation.score import EvaluationData, ScoredText
from bench.models.language_model import LanguageModel


class Evaluator(ABC):
    """All that is asked of a model after, or during, its training: quality, text and decode latency.

    `WordEvaluator` measures every model over a closed vocabulary, `SubwordEvaluator` the causal LM over word pieces.
    A model of another kind brings a subclass, and names it in `LanguageModel.evaluator`.

    Args:
        model: its weights may change between calls of `validate`, and must not change once another method was called.
    """

    def __init__(self, model: Any):
        self.model = model

    @abstractmethod
    def score(self, data: EvaluationData) -> ScoredText:
        """Rank and price every position of the test text.

        Raises:
            Diverged: scores that are not finite.
        """

    @abstractmethod
    def validation_quality(self, data: EvaluationData) -> dict[str, float]:
        """Return `validation_nats`, in nats per word with out-of-vocabulary words priced in, and what else is known.

        The figure of a record: measured on half of the calibration sample, each word with its whole history.
        """

    @abstractmethod
    def validate(self, data: EvaluationData) -> dict[str, float]:
        """Return the figures of `validation_quality` from a smaller sample, cheaply enough to be called in training."""

    @abstractmethod
    def generate(
        self,
        vocabulary: Vocabulary,
        prompt: list[int],
        count: int,
        *,
        greedy: bool,
        calibration: Calibration | None,
        seed: int,
    ) -> list[str]:
        """Write `count` words after a prompt.

        Args:
            prompt: lexicon indices.
            greedy: take the best word each time (the nearest word of a regressor); else draw.
            calibration: turns scores into the distribution to draw from; None for a model that needs none.
            seed: of the draws.
        """

    @abstractmethod
    def decoder(self, data: EvaluationData, most_queries: int) -> Callable[[int], object]:
        """Prepare decoding, index and query features included; return the operation whose time is the decode latency.

        The operation takes a number of queries, 1 … `most_queries`, and finds the best 10 words of each query.
        """


def evaluator_of(model: LanguageModel) -> Evaluator:
    """Return the evaluator that the model names."""
    return resolve_name(model.evaluator)(model)
