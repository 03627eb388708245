"""Train a built model within the budget, or load the weights that an earlier run kept."""

from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from bench.core.errors import SettingError
from bench.core.file_lock import exclusive
from bench.core.paths import record_stem, weights_path
from bench.core.progress import Bar, print_line
from bench.core.provenance import machine_of
from bench.core.record import SLOWED
from bench.core.signals import STOP
from bench.core.source_hash import KEPT, cell_sha256, made_by_other_code
from bench.evaluation.evaluator import evaluator_of
from bench.models.word_model import WordModel
from bench.training.budget import Budget
from bench.training.build import Built
from bench.training.cell_logger import CellLogger
from bench.training.checkpoint import Checkpoint
from bench.training.distributed import LocalRank, start_followers
from bench.training.kept_weights import kept_training, load_weights, rests_on, save_weights


def train_or_load(
    cfg: DictConfig,
    config: dict[str, Any],
    built: Built,
    flops_per_position: float | None,
    weights_sha256: str | None,
    logger: CellLogger | None,
) -> tuple[pl.Trainer, dict[str, Any]]:
    """Train and keep the weights, or load the weights that an earlier run kept.

    A training that was cut off continues from its last checkpoint. `force=true` leaves kept weights unread, and so does
    `stale=rerun` if they are of other code.

    Args:
        weights_sha256: hash of the pre-trained weights behind the model or its targets; None without such weights.

    Returns:
        The trainer, and the record's fields about training.
    """
    path = weights_path(config)
    checkpoint, machine = checkpoint_of(cfg, config, weights_sha256), machine_of(config)
    with exclusive(path, f"training {path.stem}"), Bar(record_stem(config).name) as bar:
        validate = partial(evaluator_of(built.model).validate, built.evaluation_data)
        budget = make_budget(
            cfg,
            validate=validate,
            flops_per_position=flops_per_position,
            checkpoint=checkpoint,
            bar=bar,
            machine=machine,
            validation_words=len(built.evaluation_data.validation),
        )
        rank = LocalRank()
        trainer = make_trainer(cfg, budget, rank, logger)
        built.datamodule.batches.shard(0, trainer.world_size)
        device = trainer.strategy.root_device
        training = None if trains_anew(cfg, config) else load_weights(built.model, path, weights_sha256)
        if training is not None:
            if made_by_other_code(training["source_sha256"], config):
                print_line(f"{path}: made by other code; {KEPT}")
            training = of_this_run(training, len(built.evaluation_data.validation), machine, path.stem)
            if logger is not None:
                logger.log_rows(("curve", row) for row in training["curve"])
            if isinstance(built.model, WordModel):
                built.model.choose_gradients(device, trainer.world_size)  # for the costs that are measured next
            return trainer, training
        with STOP.held_back(), start_followers(config, trainer.world_size, rank.main_port):
            trainer.fit(built.model, built.datamodule, ckpt_path=checkpoint.file_to_continue(), weights_only=True)
            training = {
                "trained_words": budget.spent["words"],
                "train_seconds": budget.spent["seconds"],
                "train_ms_per_1k": budget.train_ms_per_1k,
                "cpu_share": budget.cpu_share if device.type == "cpu" else None,
                "curve": budget.curve,
                "validation_words": len(built.evaluation_data.validation),
                "source_sha256": cell_sha256(config),
                "machines": budget.machines,
            }
            save_weights(built.model, path, training | {"weights_sha256": weights_sha256})
            checkpoint.delete()
            training = of_this_run(training, len(built.evaluation_data.validation), machine, path.stem)
    if training["cpu_share"] is not None and training["cpu_share"] < SLOWED:
        print_line(
            f"{record_stem(config).name}: other work slowed this run: its training thread had a processor "
            f"{training['cpu_share']:.0%} of the time; publish no times of it (cpu_share in its record), or run it "
            "again with force=true on a free machine"
        )
    return trainer, training


def of_this_run(training: dict[str, Any], validation_words: int, machine: str, weights: str) -> dict[str, Any]:
    """Return the record's fields about training, without a curve and times that are not those of this run's settings.

    The curve is left out if it was measured on another number of validation words, and the times if another machine
    measured some of these: nodes of a cluster share kept weights and checkpoints, and a record names one device.

    Args:
        training: fields that weights were kept with, and `validation_words` and `machines`: None for weights that older
            code kept.
        machine: text of `machine_of`, of this machine.
        weights: name of the weights, for the line that says what is left out.
    """
    fields = {name: value for name, value in training.items() if name not in ("machines", "validation_words")}
    if training["validation_words"] not in (None, validation_words):
        print_line(
            f"{weights}: its learning curve is of {training['validation_words']:,} validation words; left out here"
        )
        fields["curve"] = []
    if training["machines"] not in (None, [machine]):
        trained_on = " and on ".join(training["machines"])
        print_line(f"{weights}: trained on {trained_on}; its training times are left out here")
        curve = [{unit: value for unit, value in row.items() if unit != "seconds"} for row in fields["curve"]]
        fields |= {"train_seconds": None, "train_ms_per_1k": None, "cpu_share": None, "curve": curve}
    return fields


def continues_training(cfg: DictConfig, config: dict[str, Any], weights_sha256: str | None) -> bool:
    """True if weights or a checkpoint of an earlier run will be used; no file is changed, as no lock is held."""
    training = kept_training(weights_path(config))
    loads = training is not None and rests_on(training.get("weights_sha256"), weights_sha256)
    return (loads and not trains_anew(cfg, config)) or checkpoint_of(cfg, config, weights_sha256).is_usable()


def checkpoint_of(cfg: DictConfig, config: dict[str, Any], weights_sha256: str | None) -> Checkpoint:
    """Return the checkpoint file of a cell, stored beside its weights."""
    return Checkpoint(
        weights_path(config).with_suffix(".ckpt"),
        seconds=cfg.checkpoint.seconds,
        source_sha256=cell_sha256(config),
        weights_sha256=weights_sha256,
        forced=cfg.force,
    )


def trains_anew(cfg: DictConfig, config: dict[str, Any]) -> bool:
    """True if weights of earlier runs must not be used; a checkpoint says itself which runs may continue from it."""
    if cfg.force or cfg.get("stale") != "rerun":
        return cfg.force
    training = kept_training(weights_path(config))
    return training is not None and made_by_other_code(training["source_sha256"], config)


def make_budget(cfg: DictConfig, **rest: Any) -> Budget:
    """Return the budget of a configuration; every device has the same."""
    return Budget(words=cfg.budget.words, seconds=cfg.budget.seconds, gradient_clip=cfg.optimizer.gradient_clip, **rest)


def make_trainer(cfg: DictConfig, callback: pl.Callback, rank: LocalRank, logger: CellLogger | None) -> pl.Trainer:
    """Return Lightning's trainer on the devices that the configuration names; the callback says when to stop.

    Raises:
        SettingError: Lightning refuses the settings, for example a device that is missing.
    """
    chosen = instantiate(cfg.trainer)
    if chosen["accelerator"] == "auto":  # Lightning's own choice may be Apple's GPU, which computes no float64
        chosen["accelerator"] = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return pl.Trainer(
            **chosen,
            logger=logger or False,
            callbacks=[callback],
            plugins=[rank],
            max_epochs=1,  # of an endless stream: the callback ends it
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise SettingError("trainer", f"Lightning refuses it ({error}); choose trainer=auto or trainer=cpu") from error
