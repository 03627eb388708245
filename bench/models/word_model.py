"""Systems whose scores are rows of V numbers: a backbone with a head, counted n-grams, and a language's truth.

Both turn a text into features, a row a position, and features into scores; evaluation and generation see no more.
B streams, T steps, N positions, H hidden size, F feature columns, V vocabulary size.
"""

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from bench.data.corpus import Text
from bench.heads import Head
from bench.models.row_adamw import RowAdamW
from bench.models.word_batches import Batch, Inputs

DOCUMENTS_AT_ONCE = 32

STEPS_AT_ONCE = 128


class WordModel(pl.LightningModule):
    """Any head on any trunk.

    Args:
        backbone: inputs and state -> hidden [B, T, H] and state.
        head: trained on, and asked for the scores of, hidden states.
        inputs: what the backbone reads at each position.
        lr: peak learning rate of AdamW.
        weight_decay: of AdamW.
    """

    def __init__(self, backbone: nn.Module, head: Head, inputs: Inputs, *, lr: float, weight_decay: float):
        super().__init__()
        self.backbone, self.head, self.inputs = backbone, head, inputs
        self.touch_rows_alone(True)
        self.lr, self.weight_decay = lr, weight_decay
        self.state: Any = None
        self.optimizer: Callable[[], RowAdamW | None] = lambda: None

    def touch_rows_alone(self, alone: bool) -> None:
        """Whether gradients of the head, where it can, and of the input layer hold a step's rows, and not all V."""
        self.head.row_sparse = alone
        for layer in self.input_layers():
            layer.sparse = alone

    def input_layers(self) -> list[nn.Embedding]:
        """Those of the trunk that have a row an id."""
        return [layer for layer in self.backbone.modules() if isinstance(layer, nn.Embedding)]

    def catch_up_inputs(self, ids: Tensor) -> None:
        """Training reads rows as they would be, had every step written all of them."""
        optimizer = self.optimizer()
        for layer in self.input_layers():
            if layer.sparse and optimizer is not None:
                optimizer.catch_up(layer.weight, ids.unique())

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Truncated back-propagation: the state goes on from the batch before, its gradient does not."""
        self.catch_up_inputs(batch.inputs)
        hidden, state = self.backbone(batch.inputs, None if batch.fresh else self.state)
        self.state = tree_map(torch.Tensor.detach, state)
        vectors = () if batch.vectors is None else (batch.vectors.flatten(0, 1),)
        return self.head.loss(hidden.flatten(0, 1), batch.words.flatten(), *vectors)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = RowAdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        self.optimizer = weakref.ref(optimizer)  # whose memory is whoever's that trains
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["recurrent_state"] = self.state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.state = tree_map(lambda leaf: leaf.to(self.device), checkpoint["recurrent_state"])

    def setup(self, stage: str) -> None:
        """Before Lightning asks what gradients to expect; a sum over devices wants dense ones."""
        self.touch_rows_alone(self.trainer.world_size == 1)

    def on_train_end(self) -> None:
        self.optimizers().settle()

    def flops_per_position(self) -> float:
        """Of the trunk in training; the head's are counted by `bench.cost.run_cost`."""
        return self.backbone.flops_per_position()

    @torch.inference_mode()
    def features(self, text: Text, split: str) -> Tensor:
        """Hidden states, each document from a fresh state. [N, H] float32 on the model's device"""
        self.eval()
        features = torch.empty(len(text), self.backbone.hidden_size, device=self.device)
        for at, inside, hidden, _ in self.read(text, split, STEPS_AT_ONCE):
            features[torch.from_numpy(at[inside])] = hidden[torch.from_numpy(inside)].float()
        return features

    def recall(self, text: Text, split: str, at: np.ndarray) -> Tensor:
        """Hidden states of stretches of a text, each from a fresh state. Positions [R, T] -> [R, T, H] float32"""
        self.eval()
        return self.backbone(self.inputs.read(text, split, at).to(self.device))[0].float()

    def read(self, text: Text, split: str, steps_at_once: int) -> Iterator[tuple[np.ndarray, np.ndarray, Tensor, Any]]:
        """Positions, which of them are real, hidden states and the last state of a few steps of some documents at once.

        [D, T], [D, T], [D, T, H]; shorter documents are padded by their last word.
        """
        lengths = np.diff(text.starts)
        for some in np.array_split(np.argsort(-lengths, kind="stable"), -(-len(lengths) // DOCUMENTS_AT_ONCE)):
            state = None
            for start in range(0, lengths[some[0]], steps_at_once):
                steps = start + np.arange(min(steps_at_once, lengths[some[0]] - start))
                at = text.starts[some, None] + np.minimum(steps, lengths[some, None] - 1)
                hidden, state = self.backbone(self.inputs.read(text, split, at).to(self.device), state)
                yield at, steps < lengths[some, None], hidden, state

    @torch.inference_mode()
    def states(self, text: Text, split: str) -> tuple[Tensor, Any] | None:
        """Hidden state and recurrent state before each word, to go on from: leaves [N, …].

        None where the inputs are an encoder's vectors: a word that nobody wrote has none yet.
        """
        if self.inputs.encoder is not None:
            return None
        self.eval()
        whole: Any = None
        for at, inside, hidden, state in self.read(text, split, 1):
            rows, real = torch.from_numpy(at[inside]), torch.from_numpy(inside[:, 0])
            now = (hidden[real, 0].float(), tree_map(lambda leaf, real=real: leaf.movedim(1, 0)[real], state))
            if whole is None:
                whole = tree_map(lambda leaf: leaf.new_empty(len(text), *leaf.shape[1:]), now)
            tree_map(lambda all_rows, leaf, rows=rows: all_rows.index_copy_(0, rows.to(leaf.device), leaf), whole, now)
        return whole

    @torch.inference_mode()
    def proceed(self, states: tuple[Tensor, Any], words: Tensor) -> tuple[Tensor, Any]:
        """The states after one more word each. Leaves [n, …], [n] -> leaves [n, …]"""
        state = tree_map(lambda leaf: leaf.movedim(0, 1).contiguous(), states[1])
        hidden, state = self.backbone(words[:, None], state)
        return hidden[:, 0].float(), tree_map(lambda leaf: leaf.movedim(1, 0), state)

    def scores(self, features: Tensor) -> Tensor:
        """[N, H] -> [N, V], higher is likelier."""
        return self.head.scores(features)

    @property
    def is_density(self) -> bool:
        return self.head.is_density
