"""Endless training batches that are a function of (seed, step) alone, so that training can go on from any step."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, IterableDataset


class Steps(IterableDataset):
    """The batches from step `start` on."""

    start = 0

    def __iter__(self) -> Iterator[Any]:
        return map(self.batch, itertools.count(self.start))

    def batch(self, step: int) -> Any:
        """The batch of any step."""
        raise NotImplementedError


class StepData(pl.LightningDataModule):
    """Steps, as Lightning takes them; a checkpoint holds how many training has seen."""

    def __init__(self, batches: Steps):
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader:
        # no worker processes: a batch is a few gathers from memory, cheaper than sending it between processes
        return DataLoader(self.batches, batch_size=None)

    def state_dict(self) -> dict[str, int]:
        return {"step": self.trainer.global_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.batches.start = state["step"]
