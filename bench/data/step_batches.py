"""Endless training batches that are a function of (seed, step) alone, so that training can resume at any step."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, IterableDataset

from bench.core.errors import SettingError


class Steps(IterableDataset):
    """Batches from step `start` on; with several devices each device has its share of every batch's rows.

    Args:
        rows: rows of a whole batch.
        setting: configuration key of the number of rows, for errors.
    """

    start = 0
    rank, world = 0, 1

    def __init__(self, rows: int, setting: str):
        self.rows, self.setting = rows, setting

    def shard(self, rank: int, world: int) -> None:
        """Keep every `world`-th row, from row `rank` on, in this process.

        Raises:
            SettingError: the rows are no multiple of the devices.
        """
        if self.rows % world:
            problem = f"{self.rows} cannot be divided evenly among {world} devices; give a multiple of {world}"
            raise SettingError(self.setting, problem)
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[Any]:
        return map(self.batch, itertools.count(self.start))

    def batch(self, step: int) -> Any:
        """Return the batch of a step."""
        raise NotImplementedError


class Prefetch(IterableDataset):
    """Batches of a `Steps`; a thread makes the next batch while training uses the current one."""

    def __init__(self, batches: Steps):
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.batches)
        with ThreadPoolExecutor(1, "batches") as thread:
            pending = thread.submit(next, batches)
            while True:
                batch, pending = pending.result(), thread.submit(next, batches)
                yield batch


class StepData(pl.LightningDataModule):
    """Lightning data module of a `Steps`; a checkpoint holds the number of steps that training has done."""

    def __init__(self, batches: Steps):
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader:
        """Return a loader without worker processes: gathering a batch costs less than sending it between processes.

        On a GPU a thread gathers the next batch meanwhile, into pinned memory, from which copies are asynchronous.
        """
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return DataLoader(Prefetch(self.batches) if on_gpu else self.batches, batch_size=None, pin_memory=on_gpu)

    def state_dict(self) -> dict[str, int]:
        return {"step": self.trainer.global_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.batches.start = state["step"]
