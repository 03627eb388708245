"""Word-level language model of a backbone and a head: the model of every system with a head.

B sequences, T steps, D documents, N positions, H hidden size, V vocabulary size.
"""

import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from bench.data.corpus import Text
from bench.heads import Head
from bench.models.backbones import Backbone
from bench.models.language_model import ClosedVocabularyModel, rows_of
from bench.models.row_adamw import RowAdamW, row_sparse_is_faster
from bench.models.word_batches import Batch, Inputs

DOCUMENTS_AT_ONCE = 32  # documents that evaluation reads in parallel

STEPS_AT_ONCE = 128  # words of each document per forward pass of evaluation; bounds memory

STATE_STEPS = 64  # words between the states from which the states at all other words are computed, in parallel


class Chunk(NamedTuple):
    """Hidden states of T steps of D documents; shorter documents are padded with repeats of their last word."""

    positions: np.ndarray  # [D, T] positions in the text
    is_real: np.ndarray  # [D, T] bool, False: padding
    hidden: Tensor  # [D, T, H]
    before: Any  # state before the first step, tensors [D, …]; None at the start of the documents


class WordModel(pl.LightningModule, ClosedVocabularyModel):
    """Any head on any backbone; the features are the hidden states, [N, H] float32.

    Args:
        backbone: maps inputs and a state to hidden states.
        head: maps hidden states to a loss and to scores.
        inputs: inputs of the backbone at each position.
        lr: peak learning rate of AdamW.
        weight_decay: weight decay of AdamW.
    """

    def __init__(self, backbone: Backbone, head: Head, inputs: Inputs, *, lr: float, weight_decay: float):
        super().__init__()
        self.backbone, self.head, self.inputs = backbone, head, inputs
        self.use_sparse_gradients(True)
        self.lr, self.weight_decay = lr, weight_decay
        self.state: Any = None  # of the backbone after the last training batch
        self.optimizer: Callable[[], RowAdamW | None] = lambda: None

    @property
    def is_density(self) -> bool:
        return self.head.is_density

    @property
    def output_head(self) -> Head:
        return self.head

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the encoder whose vectors are the inputs; None if the inputs are ids."""
        return None if self.inputs.encoder is None else self.inputs.encoder.weights_sha256

    @property
    def encode_seconds(self) -> float | None:
        """Time to encode the training text as inputs, s, measured when the cache was filled; None for ids."""
        if self.inputs.encoder is None:
            return None
        return self.inputs.encoder.encode(self.inputs.vocabulary.corpus, "train").seconds

    def flops_per_position(self, batch: Batch) -> float:
        """Return the FLOPs of the backbone in a training step, per predicted word."""
        return self.backbone.flops_per_position(steps=batch.words.shape[1])

    def use_sparse_gradients(self, sparse: bool) -> None:
        """Choose row-sparse or dense gradients for word embeddings and for heads that support both kinds."""
        self.head.row_sparse = sparse
        for layer in self.backbone.word_embeddings():
            layer.sparse = sparse

    def apply_skipped_updates(self, ids: Tensor) -> None:
        """Apply the skipped updates to the embedding rows that this batch reads, so that a row-sparse step is exact."""
        optimizer = self.optimizer()
        for layer in self.backbone.word_embeddings():
            if layer.sparse and optimizer is not None:
                optimizer.apply_skipped_updates(layer.weight, ids.unique())

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss. The state continues from the previous batch without gradient: truncated back-propagation."""
        self.apply_skipped_updates(batch.inputs)
        hidden, state = self.backbone(batch.inputs, None if batch.fresh else self.state)
        self.state = tree_map(torch.Tensor.detach, state)
        vectors = () if batch.vectors is None else (batch.vectors.flatten(0, 1),)
        return self.head.loss(hidden.flatten(0, 1), batch.words.flatten(), *vectors)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return row-sparse AdamW over all parameters."""
        optimizer = RowAdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        self.optimizer = weakref.ref(optimizer)  # weak reference: the trainer owns the optimiser and its state
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the backbone's state after the last training batch."""
        checkpoint["backbone_state"] = self.state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the backbone's state."""
        self.state = tree_map(lambda leaf: leaf.to(self.device), checkpoint["backbone_state"])

    def setup(self, stage: str) -> None:
        """Choose the gradients for the trainer's devices."""
        self.choose_gradients(self.trainer.strategy.root_device, self.trainer.world_size)

    def choose_gradients(self, device: torch.device, devices: int) -> None:
        """Use row-sparse gradients where they are faster; on several devices dense ones, which Lightning sums."""
        self.use_sparse_gradients(row_sparse_is_faster(self.parameters(), device) and devices == 1)

    def on_train_end(self) -> None:
        """Bring all embedding rows up to the last step."""
        self.optimizers().apply_all_skipped_updates()

    @torch.inference_mode()
    def features(self, text: Text, split: str | None) -> Tensor:
        """Return hidden states; each document starts from a fresh state. [N, H] float32 on the model's device"""
        self.eval()
        features = torch.empty(len(text), self.backbone.hidden_size, device=self.device)
        for chunk in self.forward_in_chunks(text, split, STEPS_AT_ONCE):
            rows = torch.from_numpy(chunk.positions[chunk.is_real])
            features[rows] = chunk.hidden[torch.from_numpy(chunk.is_real)].float()
        return features

    def segment_features(self, text: Text, split: str | None, positions: np.ndarray) -> Tensor:
        """Return hidden states of R segments, each from a fresh state. [R, T] -> [R, T, H] float32"""
        self.eval()
        return self.backbone(self.inputs.at(text, split, positions).to(self.device))[0].float()

    def forward_in_chunks(self, text: Text, split: str | None, steps_at_once: int) -> Iterator[Chunk]:
        """Yield the hidden states of a text in chunks of `steps_at_once` steps, the longest documents first."""
        lengths = np.diff(text.starts)
        for group in np.array_split(np.argsort(-lengths, kind="stable"), -(-len(lengths) // DOCUMENTS_AT_ONCE)):
            state = None
            for start in range(0, lengths[group[0]], steps_at_once):
                documents = group[lengths[group] > start]  # the first of the group: the longest
                steps = start + np.arange(min(steps_at_once, lengths[group[0]] - start))
                positions = text.starts[documents, None] + np.minimum(steps, lengths[documents, None] - 1)
                inputs = self.inputs.at(text, split, positions).to(self.device)
                before = None if state is None else rows_of(state, slice(len(documents)))
                hidden, state = self.backbone(inputs, before)
                yield Chunk(positions, steps < lengths[documents, None], hidden, before)

    @torch.inference_mode()
    def states(self, text: Text, split: str | None) -> tuple[Tensor, Any] | None:
        """Return the hidden state and the backbone's state before each word. Tensors [N, …]

        None if the inputs are an encoder's vectors: a word that is not in the text has no vector.

        One pass finds the states between chunks of the text; a second reads all chunks side by side, step by step.
        """
        if self.inputs.encoder is not None:
            return None
        self.eval()
        states: Any = None
        chunks = list(self.forward_in_chunks(text, split, STATE_STEPS))
        for at_start in (True, False):  # at the start of a document, the backbone makes its own state
            some = [chunk for chunk in chunks if (chunk.before is None) == at_start]
            if not some:
                continue
            width = max(chunk.positions.shape[1] for chunk in some)
            pads = [((0, 0), (0, width - chunk.positions.shape[1])) for chunk in some]
            positions = np.concatenate(
                [np.pad(each.positions, pad, "edge") for each, pad in zip(some, pads, strict=True)]
            )
            is_real = np.concatenate([np.pad(each.is_real, pad) for each, pad in zip(some, pads, strict=True)])
            inputs = self.inputs.at(text, split, positions).to(self.device)  # [C, T], C chunks
            state = None if at_start else tree_map(lambda *leaves: torch.cat(leaves), *(each.before for each in some))
            for step in range(width):
                hidden, state = self.backbone(inputs[:, step : step + 1], state)
                now = (hidden[:, 0].float(), state)
                if states is None:
                    states = tree_map(lambda leaf: leaf.new_empty(len(text), *leaf.shape[1:]), now)
                real = torch.from_numpy(is_real[:, step]).to(self.device)
                rows = torch.from_numpy(positions[is_real[:, step], step]).to(self.device)
                tree_map(lambda leaf, new, rows=rows, real=real: leaf.index_copy_(0, rows, new[real]), states, now)
        return states

    @torch.inference_mode()
    def proceed(self, states: tuple[Tensor, Any], words: Tensor) -> tuple[Tensor, Any]:
        hidden, state = self.backbone(words[:, None], states[1])
        return hidden[:, 0].float(), state

    def scores(self, features: Tensor) -> Tensor:
        return self.head.scores(features)

    def rows(self) -> tuple[Tensor, Tensor | None] | None:
        return self.head.rows()

    def queries(self, features: Tensor) -> Tensor:
        return self.head.queries(features)
