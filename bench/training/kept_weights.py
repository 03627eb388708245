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


def load_weights(model: torch.nn.Module, path: Path, pretrained: str | None = None) -> dict[str, Any] | None:
    """Load weights that `save_weights` wrote into the model.

    Args:
        pretrained: hash of the pre-trained weights behind the model as it is built today; None checks nothing.

    Returns:
        The record's fields about training; None if there is no undamaged file, or if other pre-trained weights are
        behind it, as a local folder may have been replaced.

    Raises:
        SettingError: the weights do not fit the model, for example because its code has changed.
    """
    if not path.is_file():
        return None
    metadata = weights_metadata(path)
    try:
        sound = metadata is not None and digest(load_file(path)) == metadata["sha256"]
    except SafetensorError:
        sound = False
    if not sound:
        log.warning("%s is damaged; training again", path)
        return None
    training = training_fields(metadata)
    if not rests_on(training.get("weights_sha256"), pretrained):
        log.warning("%s was trained with other pre-trained weights than the present ones; training again", path)
        return None
    try:
        load_model(model, path)
    except RuntimeError as error:
        raise SettingError("force", f"{path} does not fit this version's model; force=true trains it again") from error
    return {name: value for name, value in training.items() if name != "weights_sha256"}


def rests_on(earlier: str | None, pretrained: str | None) -> bool:
    """True if a result of an earlier run rests on these pre-trained weights, or if one of the two hashes is unknown."""
    return None in (earlier, pretrained) or earlier == pretrained


def weights_metadata(path: Path) -> dict[str, str] | None:
    """Return the texts that `save_weights` wrote beside the weights; None if there is no readable file."""
    try:
        with safe_open(path, "pt") as file:
            return file.metadata()
    except (SafetensorError, FileNotFoundError):
        return None


def training_fields(metadata: dict[str, str]) -> dict[str, Any]:
    """Return the record's fields about training; those that older weights lack are None."""
    return {"cpu_share": None, "source_sha256": None, "machines": None, "validation_words": None} | json.loads(
        metadata["training"]
    )


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
