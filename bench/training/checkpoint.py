"""Checkpoints of a training under way: what brings it on to the same weights, bit by bit, after a kill."""

import logging
import time
import zipfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

log = logging.getLogger(__name__)


class Checkpoint:
    """One file, overwritten now and then, gone when training has ended.

    Args:
        path: where it lies.
        seconds: between two of them.
    """

    def __init__(self, path: Path, *, seconds: float):
        self.path, self.seconds = path, seconds
        self.last = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self.last >= self.seconds

    def save(self, trainer: pl.Trainer) -> None:
        """Whole or not at all; a disk that is full costs the checkpoint, not the training."""
        partial = self.path.with_suffix(".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(partial, weights_only=False)  # the optimiser too
            partial.replace(self.path)
        except OSError as error:
            log.warning("%s could not be written (%s); training goes on without a checkpoint", self.path, error)
            partial.unlink(missing_ok=True)
        self.last = time.monotonic()

    def found(self) -> Path | None:
        """The file, if an earlier run was cut off and has left a whole one."""
        if not self.path.is_file():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:  # as torch writes it, a checksum a tensor
                sound = archive.testzip() is None
        except (zipfile.BadZipFile, OSError):
            sound = False
        if not sound:
            log.warning("%s is damaged; training starts anew", self.path)
            self.drop()
            return None
        return self.path

    def drop(self) -> None:
        """Training has ended, or has to start anew."""
        self.path.unlink(missing_ok=True)


def random_state() -> dict[str, Any]:
    """Of the generators that dropout and sampling draw from."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": devices}


def restore_random_state(state: dict[str, Any]) -> None:
    """What `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
