"""A built model -> a trained one: within the budget, or from weights that an earlier run has kept."""

import hashlib
import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, load_model, save_model

from bench.core.errors import SettingError
from bench.core.file_lock import exclusive
from bench.core.paths import record_stem, weights_path
from bench.core.progress import Bar
from bench.core.signals import STOP
from bench.evaluation.validation import validate
from bench.training.budget import Budget
from bench.training.build import Built
from bench.training.checkpoint import Checkpoint
from bench.training.distributed import Ranks, followers

log = logging.getLogger(__name__)


def train_or_load(
    cfg: DictConfig, config: dict[str, Any], built: Built, flops_per_position: float | None, logger: Logger | None
) -> tuple[torch.device, dict[str, Any]]:
    """Trains and keeps the weights, or finds them kept: the device to go on with, and what training took.

    A training that was cut off goes on from its last checkpoint; with `force` it starts anew.
    """
    path = weights_path(config)
    checkpoint = Checkpoint(path.with_suffix(".ckpt"), seconds=cfg.checkpoint.seconds)
    with exclusive(path, f"training {path.stem}"), Bar(record_stem(config).name) as bar:
        judge = partial(validate, judged=built.judged)
        budget = make_budget(cfg, look=judge, flops_per_position=flops_per_position, checkpoint=checkpoint, bar=bar)
        ranks = Ranks()
        trainer = make_trainer(cfg, budget, ranks, logger)
        built.data.batches.deal(0, trainer.world_size)
        device = trainer.strategy.root_device
        if cfg.force:
            checkpoint.drop()
        elif (training := load_weights(built.model, path)) is not None:
            return device, training
        with STOP.held_back(), followers(config, trainer.world_size, ranks.main_port):
            trainer.fit(built.model, built.data, ckpt_path=checkpoint.found(), weights_only=True)
            training = {
                "trained_words": budget.spent["words"],
                "train_seconds": budget.spent["seconds"],
                "train_ms_per_1k": budget.train_ms_per_1k,
                "curve": budget.curve,
            }
            save_weights(built.model, path, training)
            checkpoint.drop()
    return device, training


def make_budget(cfg: DictConfig, **rest: Any) -> Budget:
    """The same on every device."""
    return Budget(words=cfg.budget.words, seconds=cfg.budget.seconds, gradient_clip=cfg.optimizer.gradient_clip, **rest)


def make_trainer(cfg: DictConfig, callback: pl.Callback, ranks: Ranks, logger: Logger | None) -> pl.Trainer:
    """Lightning's, on the devices that the configuration names; the callback says when to stop.

    Raises:
        SettingError: it refuses them: a device that is not there, say.
    """
    try:
        return pl.Trainer(
            **instantiate(cfg.trainer),
            logger=logger or False,
            callbacks=[callback],
            plugins=[ranks],
            max_epochs=1,  # of an endless stream: the callback ends it
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise SettingError("trainer", f"Lightning refuses it ({error}); choose trainer=auto or trainer=cpu") from error


def load_weights(model: torch.nn.Module, path: Path) -> dict[str, Any] | None:
    """Weights that `keep` has written -> into the model; what training them took, None where no sound file is.

    Raises:
        SettingError: sound weights of another version of the code.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            beside = file.metadata()
        sound = digest(load_file(path)) == beside["sha256"]
    except SafetensorError:
        sound = False
    if not sound:
        log.warning("%s is damaged; training again", path)
        return None
    try:
        load_model(model, path)
    except RuntimeError as error:
        raise SettingError("force", f"{path} does not fit this version's model; force=true trains it again") from error
    return json.loads(beside["training"])


def save_weights(model: torch.nn.Module, path: Path, training: dict[str, Any]) -> None:
    """Weights and what training them took, in one file, whole or not at all; a full disk costs no result."""
    temporary = path.with_suffix(".partial")
    try:
        save_model(model, temporary, metadata={"training": json.dumps(training), "sha256": digest(model.state_dict())})
        temporary.replace(path)
    except (SafetensorError, OSError) as error:
        log.warning("%s could not be written (%s); the cell goes on without", path, error)
        temporary.unlink(missing_ok=True)


def digest(weights: dict[str, torch.Tensor]) -> str:
    """sha256 of their contents; what shares one memory under two names counts once, as in the file."""
    parts = {
        hashlib.sha256(memoryview(each.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())).hexdigest()
        for each in weights.values()
    }
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()
