"""Contracts of the systems that are compared. N positions, n sequences, V vocabulary size, K columns of a query."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.corpus import Text
from bench.data.step_batches import StepData
from bench.heads import Head


class LanguageModel:
    """A system under comparison: anything that gives words a probability or a rank.

    How a model is measured is the work of its evaluator, a class in `bench.evaluation` (models may not import that
    package, so the class is named by its path). A model over a closed vocabulary subclasses `ClosedVocabularyModel`
    and needs no evaluator of its own. Any other model names a subclass of `bench.evaluation.evaluator.Evaluator`.

    A model that is trained is a `pytorch_lightning.LightningModule` too, listed before this class:
    `class Model(pl.LightningModule, LanguageModel)`. It needs an attribute `lr`, the peak learning rate, and batches
    with an attribute `trained_words`, the number of words that a step predicts.

    Attributes:
        evaluator: dotted path of the class that measures the model.
        is_density: False if exp of the mean raw nats is a proxy and no perplexity.
        weights_sha256: hash of the pre-trained weights that the model reads or starts from; None without such weights.
        encode_seconds: time to encode the training text with a pre-trained encoder, s; None without an encoder.
    """

    evaluator: str
    is_density: bool = True
    weights_sha256: str | None = None
    encode_seconds: float | None = None

    @property
    def device(self) -> torch.device:
        """Device of the features and scores; `LightningModule` overrides the property by the device of the weights."""
        return torch.device("cpu")

    @property
    def output_head(self) -> Head | None:
        """Head whose training cost can be measured apart from the rest; None if the model has no such part."""
        return None

    def datamodule(self, seed: int) -> StepData | None:
        """Return the training batches of a model that makes its own; None if the model is counted, not trained."""
        return None

    def flops_per_position(self, batch: Any) -> float:
        """FLOPs of a training step per predicted word, without those of `output_head`; a multiply-add is 2 FLOPs.

        Args:
            batch: an example of the batches that training steps take.
        """
        raise NotImplementedError


class ClosedVocabularyModel(LanguageModel):
    """A model that scores the V words of a vocabulary, `<unk>` among them, at each position of a text.

    Evaluation first turns a text into features, one row per position, and then turns blocks of features into blocks of
    scores, so that [N, V] scores are never in memory at once.
    """

    evaluator = "bench.evaluation.word_evaluator.WordEvaluator"

    def features(self, text: Text, split: str | None) -> Tensor:
        """Return what scores are computed from; row t depends on the words before t in its document only.

        Args:
            text: whole documents.
            split: "train", "validation" or "test" if the text is that split of the corpus, so that vectors in a cache
                can be used; None for any other text.

        Returns:
            [N, …] on the model's device.
        """
        raise NotImplementedError

    def scores(self, features: Tensor) -> Tensor:
        """Score all words; higher is likelier, and a density gives log p up to a constant per row. [n, …] -> [n, V]"""
        raise NotImplementedError

    def segment_features(self, text: Text, split: str | None, positions: np.ndarray) -> Tensor:
        """Return features of R segments of T words each, read from a fresh state where that is cheaper than `features`.

        Args:
            positions: positions in the text, consecutive within a row. [R, T]

        Returns:
            [R, T, …]
        """
        return self.features(text, split)[torch.from_numpy(positions).to(self.device)]

    def states(self, text: Text, split: str | None) -> Any | None:
        """Return the state before each position, from which `proceed` reads words that are not in the text.

        Returns:
            A tuple of tensors or of trees of tensors. Each tensor is [N, …], and the first is the features. None if
            the model cannot read its own words; BrierLM is then undefined, and generation reads the text anew for
            each word.
        """
        return None

    def proceed(self, states: Any, words: Tensor) -> Any:
        """Return the states after one more word per sequence. Tensors [n, …], ids [n] -> tensors [n, …]"""
        raise NotImplementedError

    def sample(self, features: Tensor, generator: torch.Generator) -> Tensor | None:
        """Draw one word per row by the model's own sampler. [n, …] -> ids [n]

        None if the model has no sampler: evaluation then draws from the calibrated scores.
        """
        return None

    def rows(self) -> tuple[Tensor, Tensor | None] | None:
        """Rows [V, K] and offsets [V] (or None) if scores are queries(features) @ rows.T + offsets; else None."""
        return None

    def queries(self, features: Tensor) -> Tensor:
        """Return the vectors whose inner products with `rows` are the scores. [n, …] -> [n, K]"""
        return features

    def nats_within_unk(self, text: Text) -> np.ndarray | None:
        """−log p(word | `<unk>`, words before) of every word, as if no word had an id. [N] float64

        None if the model does not know that probability: evaluation then uses the character model for the spelling.
        """
        return None
