"""Checkpoints of a training: after a kill it continues to the same weights, bit for bit."""

import logging
import time
import zipfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

log = logging.getLogger(__name__)


class Checkpoint:
    """Checkpoint file, overwritten at intervals and deleted when training has ended.

    Args:
        path: of the file.
        seconds: between two checkpoints.
    """

    def __init__(self, path: Path, *, seconds: float):
        self.path, self.seconds = path, seconds
        self.last = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self.last >= self.seconds

    def save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint atomically; a full disk costs the checkpoint, not the training."""
        partial = self.path.with_suffix(".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(partial, weights_only=False)  # the optimiser too
            partial.replace(self.path)
        except OSError as error:
            log.warning("%s could not be written (%s); training goes on without a checkpoint", self.path, error)
            partial.unlink(missing_ok=True)
        self.last = time.monotonic()

    def undamaged_file(self) -> Path | None:
        """Return the path, if an earlier run was cut off and left an undamaged file; else None."""
        if not self.path.is_file():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:  # torch writes a checksum per tensor
                sound = archive.testzip() is None
        except (zipfile.BadZipFile, OSError):
            sound = False
        if not sound:
            log.warning("%s is damaged; training starts from the first step", self.path)
            self.delete()
            return None
        return self.path

    def delete(self) -> None:
        """Delete the file: training has ended, or starts from the first step."""
        self.path.unlink(missing_ok=True)


def random_state() -> dict[str, Any]:
    """Return the states of the generators that dropout and sampling draw from."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": devices}


def restore_random_state(state: dict[str, Any]) -> None:
    """Set the generators to the states that `random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
