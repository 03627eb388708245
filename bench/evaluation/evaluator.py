"""Contract of the classes that measure language models, and the look-up of a model's evaluator."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import Calibration
from bench.evaluation.sampling import PLAIN, Sampling
from bench.evaluation.score import EvaluationData, ScoredText
from bench.models.language_model import LanguageModel


class Evaluator(ABC):
    """Measures a model during and after training: quality, generated text and decode latency.

    `WordEvaluator` measures every model over a closed vocabulary, `SubwordEvaluator` the causal LM over word pieces.
    A model of another kind needs another subclass, whose dotted path is the model's attribute `evaluator`.

    Args:
        model: model to measure. Weights may change between calls of `validate`; they must not change after the first
            call of any other method.
    """

    def __init__(self, model: Any):
        self.model = model

    @abstractmethod
    def score(self, data: EvaluationData) -> ScoredText:
        """Return the ranks and nats of all positions of the test text.

        Raises:
            Diverged: scores that are not finite.
        """

    @abstractmethod
    def validation_nats(self, data: EvaluationData) -> float:
        """Return the nats per word on half of the calibration sample; each word is read with its whole history.

        The nats of an out-of-vocabulary word include those of its spelling.
        """

    @abstractmethod
    def validate(self, data: EvaluationData) -> dict[str, float]:
        """Return a point of the learning curve from a smaller sample, cheap enough for use during training.

        It holds at least `validation_nats`, in nats per word.
        """

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
        sampling: Sampling = PLAIN,
    ) -> list[str]:
        """Return `count` generated words that continue a prompt.

        Args:
            prompt: lexicon indices.
            greedy: if True, choose the best word each time (the nearest word of a regressor); if False, draw.
            calibration: turns scores into the distribution to draw from; None for a model that needs none.
            seed: seed of the draws.
            sampling: temperature, top-k and top-p of each draw, of a word or of a word piece.
        """

    def generate_batch(
        self,
        vocabulary: Vocabulary,
        prompts: list[list[int]],
        count: int,
        *,
        greedy: bool,
        calibration: Calibration | None,
        seed: int,
    ) -> list[list[str]]:
        """Return `count` generated words for each prompt; prompt i has the seed `seed` + i."""
        options = {"greedy": greedy, "calibration": calibration}
        return [self.generate(vocabulary, prompt, count, **options, seed=seed + i) for i, prompt in enumerate(prompts)]

    @abstractmethod
    def decoder(self, data: EvaluationData, most_queries: int) -> Callable[[int], object]:
        """Prepare decoding, with index and query features; return the operation whose time is the decode latency.

        The operation takes a number of queries, 1 … `most_queries`, and finds the 10 best words of each query; for a
        model of word pieces, the rank of the true word within the 10 best.
        """


def evaluator_of(model: LanguageModel) -> Evaluator:
    """Return the evaluator that the model names."""
    return resolve_name(model.evaluator)(model)
