"""Endless training batches that are a function of (seed, step) alone, so that training can go on from any step."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, IterableDataset

from bench.core.errors import SettingError


class Steps(IterableDataset):
    """The batches from step `start` on; of several devices each has its part of the rows of every one.

    Args:
        rows: of a whole batch.
        setting: that says how many they are.
    """

    start = 0
    rank, world = 0, 1

    def __init__(self, rows: int, setting: str):
        self.rows, self.setting = rows, setting

    def deal(self, rank: int, world: int) -> None:
        """Leave this process every `world`-th row, from row `rank` on.

        Raises:
            SettingError: they do not come out even.
        """
        if self.rows % world:
            problem = f"{self.rows} cannot be dealt evenly to {world} devices; give a multiple of {world}"
            raise SettingError(self.setting, problem)
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[Any]:
        return map(self.batch, itertools.count(self.start))

    def batch(self, step: int) -> Any:
        """The batch of any step."""
        raise NotImplementedError


class Ahead(IterableDataset):
    """The same batches, the next one made while the one before is trained on."""

    def __init__(self, batches: Steps):
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        made = iter(self.batches)
        with ThreadPoolExecutor(1, "batches") as thread:
            coming = thread.submit(next, made)
            while True:
                batch, coming = coming.result(), thread.submit(next, made)
                yield batch


class StepData(pl.LightningDataModule):
    """Steps, as Lightning takes them; a checkpoint holds how many training has seen."""

    def __init__(self, batches: Steps):
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader:
        """No worker processes: a batch is a few gathers from memory, cheaper than sending it between processes.

        Beside a GPU a thread gathers the next one meanwhile, into memory that it is copied from without waiting.
        """
        beside_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return DataLoader(Ahead(self.batches) if beside_gpu else self.batches, batch_size=None, pin_memory=beside_gpu)

    def state_dict(self) -> dict[str, int]:
        return {"step": self.trainer.global_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.batches.start = state["step"]
