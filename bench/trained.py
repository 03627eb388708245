"""A built model -> a trained one: within the budget, or from weights that an earlier run has kept."""

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger
from safetensors import safe_open
from safetensors.torch import load_model, save_model

from bench.build import Built
from bench.evaluation.score import glance
from bench.places import place, weights_place
from bench.progress import Bar
from bench.training import Budget


def train_or_load(
    cfg: DictConfig, config: dict[str, Any], built: Built, flops_per_position: float, logger: Logger | None
) -> tuple[torch.device, dict[str, Any]]:
    """Trains and keeps the weights, or finds them kept: the device to go on with, and what training took."""
    path = weights_place(config)
    with Bar(place(config).name) as bar:
        budget = Budget(
            words=cfg.budget.words,
            seconds=cfg.budget.seconds,
            look=lambda model: glance(model, built.judged),
            flops_per_position=flops_per_position,
            gradient_clip=cfg.optimizer.gradient_clip,
            bar=bar,
        )
        trainer = pl.Trainer(
            **instantiate(cfg.trainer),
            logger=logger or False,
            callbacks=[budget],
            max_epochs=1,  # of an endless stream: the budget ends it
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        if path.is_file() and not cfg.force:
            return trainer.strategy.root_device, load(built.model, path)
        trainer.fit(built.model, built.data)
    training = {
        "trained_words": budget.spent["words"],
        "train_seconds": budget.spent["seconds"],
        "train_ms_per_1k": budget.train_ms_per_1k,
        "curve": budget.curve,
    }
    keep(built.model, path, training)
    return trainer.strategy.root_device, training


def load(model: torch.nn.Module, path: Path) -> dict[str, Any]:
    """Weights that `keep` has written -> into the model; what training them took."""
    load_model(model, path)
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["training"])


def keep(model: torch.nn.Module, path: Path, training: dict[str, Any]) -> None:
    """Weights and what training them took, in one file, whole or not at all."""
    temporary = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, temporary, metadata={"training": json.dumps(training)})
    temporary.replace(path)
