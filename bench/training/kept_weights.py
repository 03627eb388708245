"""Weights that a training keeps for later commands, in one file with the record's fields about training."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, load_model, save_model

from bench.core.errors import SettingError

log = logging.getLogger(__name__)


def load_weights(model: torch.nn.Module, path: Path, weights_sha256: str | None = None) -> dict[str, Any] | None:
    """Load weights that `save_weights` wrote into the model.

    Args:
        weights_sha256: hash of the pre-trained weights behind the model as it is built today; None checks nothing.

    Returns:
        The record's fields about training; None if there is no undamaged file, or if other pre-trained weights are
        behind it, as a local folder may have been replaced.

    Raises:
        SettingError: the weights do not fit the model, for example because its code has changed.
    """
    if not path.is_file():
        return None
    training = kept_training(path)
    try:
        sound = training is not None and digest(load_file(path)) == training["sha256"]
    except SafetensorError:
        sound = False
    if not sound:
        log.warning("%s is damaged; training again", path)
        return None
    if not rests_on(training.get("weights_sha256"), weights_sha256):
        log.warning("%s was trained with other pre-trained weights than the present ones; training again", path)
        return None
    try:
        load_model(model, path)
    except RuntimeError as error:
        raise SettingError("force", f"{path} does not fit this version's model; force=true trains it again") from error
    return {name: value for name, value in training.items() if name not in ("weights_sha256", "sha256")}


def rests_on(earlier: str | None, weights_sha256: str | None) -> bool:
    """True if a result of an earlier run rests on these pre-trained weights, or if one of the two hashes is unknown."""
    return None in (earlier, weights_sha256) or earlier == weights_sha256


def kept_training(path: Path) -> dict[str, Any] | None:
    """Return what `save_weights` wrote beside the weights; None if there is no readable file.

    Returns:
        The record's fields about training, None for those that older weights lack, and `sha256` of the weights.
    """
    training = dict.fromkeys(("cpu_share", "source_sha256", "machines", "validation_words"))
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        return training | json.loads(metadata["training"]) | {"sha256": metadata["sha256"]}
    except (SafetensorError, FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def save_weights(model: torch.nn.Module, path: Path, training: dict[str, Any]) -> None:
    """Write weights and the record's fields about training to one file, atomically; warn if the disk is full."""
    temporary = path.with_suffix(".partial")
    try:
        save_model(model, temporary, metadata={"training": json.dumps(training), "sha256": digest(model.state_dict())})
        temporary.replace(path)
    except (SafetensorError, OSError) as error:
        log.warning("%s could not be written (%s); the cell continues without", path, error)
        temporary.unlink(missing_ok=True)


def digest(weights: dict[str, torch.Tensor]) -> str:
    """Return the sha256 of the tensors' contents; tensors that share memory count once, as in the file."""
    parts = {
        hashlib.sha256(memoryview(each.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())).hexdigest()
        for each in weights.values()
    }
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()
