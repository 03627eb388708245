"""Contracts of the systems that are compared. N positions, n sequences, V vocabulary size, K columns of a query."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from bench.data.collect import SPLITS
from bench.data.corpus import Text
from bench.data.step_batches import StepData
from bench.heads import Head


def rows_of(states: Any, chosen: Any) -> Any:
    """Return the chosen rows of every leaf of a tree of tensors."""
    return tree_map(lambda leaf: leaf[chosen], states)


class LanguageModel:
    """System under comparison: any model that gives words a probability or a rank.

    An evaluator, a class in `bench.evaluation`, measures the model. (Models may not import that package, so the class
    is named by its dotted path.) A model over a closed vocabulary subclasses `ClosedVocabularyModel`, which names an
    evaluator. Any other model names a subclass of `bench.evaluation.evaluator.Evaluator`.

    A model that is trained is also a `pytorch_lightning.LightningModule`, listed before this class:
    `class Model(pl.LightningModule, LanguageModel)`. A trained model needs an attribute `lr`, the peak learning rate,
    and batches with an attribute `trained_words`, the number of words that a step predicts.

    Attributes:
        evaluator: dotted path of the class that measures the model.
        is_density: False if exp(mean raw nats) is a proxy and not a perplexity.
        weights_sha256: hash of the pre-trained weights that the model reads or starts from; None without such weights.
        encode_seconds: time to encode the training text with a pre-trained encoder, s; None without an encoder.
        writes: False if the model cannot generate text.
    """

    evaluator: str
    is_density: bool = True
    weights_sha256: str | None = None
    encode_seconds: float | None = None
    writes: bool = True

    @property
    def device(self) -> torch.device:
        """Device of the features and scores; `LightningModule` overrides this property: device of the weights."""
        return torch.device("cpu")

    @property
    def output_head(self) -> Head | None:
        """Head whose training cost can be measured separately; None if the model has no such part."""
        return None

    def datamodule(self, seed: int) -> StepData | None:
        """Return the training batches that the model defines; None if the model is fitted by counting."""
        return None

    def flops_per_position(self, batch: Any) -> float:
        """Return the FLOPs of a training step per predicted word, without those of `output_head`.

        A multiply-add is 2 FLOPs.

        Args:
            batch: an example of the batches that training steps take.
        """
        raise NotImplementedError


class ClosedVocabularyModel(LanguageModel):
    """Model that scores the V words of a vocabulary, `<unk>` included, at each position of a text.

    Evaluation first turns a text into features, one row per position, and then turns blocks of features into blocks of
    scores, so that [N, V] scores are never in memory at once.

    Attributes:
        splits: splits of the corpus that the model has features of.
    """

    splits: tuple[str, ...] = SPLITS

    evaluator = "bench.evaluation.word_evaluator.WordEvaluator"

    def features(self, text: Text, split: str | None) -> Tensor:
        """Return the inputs of `scores`; row t depends on the words before t in the same document only.

        Args:
            text: whole documents.
            split: "train", "validation" or "test" if the text is that split of the corpus, so that vectors in a cache
                can be used; None for any other text.

        Returns:
            [N, …] on the model's device.
        """
        raise NotImplementedError

    def scores(self, features: Tensor) -> Tensor:
        """Score all words; higher is likelier. A density returns log p + a constant per row. [n, …] -> [n, V]"""
        raise NotImplementedError

    def segment_features(self, text: Text, split: str | None, positions: np.ndarray) -> Tensor:
        """Return features of R segments of T words each.

        A subclass may read each segment from a fresh state if that is cheaper than `features` of the whole text.

        Args:
            positions: positions in the text, consecutive within a row. [R, T]

        Returns:
            [R, T, …]
        """
        return self.features(text, split)[torch.from_numpy(positions).to(self.device)]

    def states(self, text: Text, split: str | None) -> Any | None:
        """Return the state before each position; `proceed` reads further words, which need not be in the text.

        Returns:
            A tuple of tensors or of trees of tensors. Each tensor is [N, …], and the first is the features. None if
            the model cannot read words that it wrote; BrierLM is then undefined, and generation reads the whole text
            again for each word.
        """
        return None

    def proceed(self, states: Any, words: Tensor) -> Any:
        """Return the states after one more word per sequence. Tensors [n, …], ids [n] -> tensors [n, …]"""
        raise NotImplementedError

    def rows(self) -> tuple[Tensor, Tensor | None] | None:
        """Return rows [V, K], and offsets [V] or None, if scores are queries @ rows.T + offsets; else None."""
        return None

    def queries(self, features: Tensor) -> Tensor:
        """Return the vectors whose inner products with `rows` are the scores. [n, …] -> [n, K]"""
        return features

    def nats_within_unk(self, text: Text) -> np.ndarray | None:
        """Return −log p(word | `<unk>`, words before) of every word, as if no word had an id. [N] float64

        None if the model does not give that probability; evaluation then uses the byte model of spellings.
        """
        return None
