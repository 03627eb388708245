"""Checkpoints of a training run: after a kill, training continues to bit-identical weights.

`bench.training.train` passes the file to Lightning, which resumes; `Budget` restores its counters and random state.
"""

import logging
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

log = logging.getLogger(__name__)


class Checkpoint:
    """Checkpoint file of one cell, overwritten at intervals and deleted when training has ended.

    Args:
        path: path of the file.
        seconds: time between two checkpoints.
        source_sha256: hash of the code that the cell runs (`bench.core.source_hash`).
        weights_sha256: hash of the pre-trained weights behind the model or its targets; None without such weights.
        forced: True for a run with `force=true`, which continues from the checkpoint of such a run alone.
    """

    def __init__(
        self, path: Path, *, seconds: float, source_sha256: str, weights_sha256: str | None = None, forced: bool = False
    ):
        self.path, self.seconds, self.source_sha256 = path, seconds, source_sha256
        self.weights_sha256, self.forced = weights_sha256, forced
        self.last_saved = time.monotonic()

    @property
    def due(self) -> bool:
        """True if the interval since the last checkpoint has passed."""
        return time.monotonic() - self.last_saved >= self.seconds

    def save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint atomically; training continues without it if the disk is full."""
        partial = self.path.with_suffix(".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(partial, weights_only=False)  # with the optimiser's state
            partial.replace(self.path)
        except OSError as error:
            log.warning("%s could not be written (%s); training continues without a checkpoint", self.path, error)
            partial.unlink(missing_ok=True)
        self.last_saved = time.monotonic()

    def is_usable(self) -> bool:
        """True if an interrupted run of this kind left an undamaged file."""
        return self.path.is_file() and not self.problem()

    def file_to_continue(self) -> Path | None:
        """Return the path of a usable file, else None; delete an unusable one. The caller holds the cell's lock."""
        if not self.path.is_file():
            return None
        if problem := self.problem():
            log.warning("%s %s; training starts from the first step", self.path, problem)
            self.delete()
            return None
        return self.path

    def problem(self) -> str:
        """Return why a run of these settings must not continue from the file; empty if it may."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                damaged = archive.testzip() is not None  # torch writes a checksum per tensor
            state = {} if damaged else torch.load(self.path, weights_only=True, map_location="cpu", mmap=True)
        except (zipfile.BadZipFile, pickle.UnpicklingError, OSError, RuntimeError):
            damaged, state = True, {}
        return "is damaged" if damaged else self.mismatch(state)

    def mismatch(self, state: dict[str, Any]) -> str:
        """Return why a run of these settings must not continue from this state; empty if it may."""
        if state.get("source_sha256") != self.source_sha256:
            return "was made by other code"
        if state.get("pretrained_sha256") != self.weights_sha256:
            return "was trained with other pre-trained weights than the present ones"
        return "is of a run without force=true" if self.forced and not state.get("forced") else ""

    def delete(self) -> None:
        """Delete the file: training has ended, or starts from the first step."""
        self.path.unlink(missing_ok=True)


def random_state() -> dict[str, Any]:
    """Return the states of the generators that dropout and sampling draw from."""
    device = torch.cuda.get_rng_state() if torch.cuda.is_available() else None  # that of the trainer alone
    return {"cpu": torch.get_rng_state(), "cuda": device}


def restore_random_state(state: dict[str, Any]) -> None:
    """Set the generators to the states that `random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
