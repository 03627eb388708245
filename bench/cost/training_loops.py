"""The three loops that take turns, and what has been found of a system in them."""

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities import move_data_to_device
from omegaconf import DictConfig

from bench.core.errors import SettingError
from bench.core.paths import plain_config
from bench.core.progress import Bar
from bench.cost.loop_timers import SETTLING, Interruptions, OnceDue, Watched, WatchedData
from bench.cost.timing import span
from bench.evaluation.evaluator import evaluator_of
from bench.models.row_adamw import clip
from bench.training.budget import LOG_SHARES, VALIDATION_SHARES, set_learning_rate
from bench.training.build import Built
from bench.training.distributed import LocalRank
from bench.training.loggers import cell_logger
from bench.training.train import make_budget, make_trainer


@dataclass(eq=False)
class Rounds:
    """What has been found of one system, a figure a round."""

    bare: list[float] = field(default_factory=list)  # ms of 1,000 words
    trainer: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    data: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)  # ms, one call each
    logs: list[float] = field(default_factory=list)
    checkpoints: list[float] = field(default_factory=list)
    logger_start: list[float] = field(default_factory=list)  # s

    def figures(self, cfg: DictConfig) -> dict[str, list[float]]:
        """As the file has them: what is due now and then is spread over the words until it is due again."""
        thousands = self.budget_thousands(cfg)
        step_ms = [each * cfg.batch.streams * cfg.batch.steps / 1e3 for each in self.steps]
        parts = {
            "look": [len(VALIDATION_SHARES) * each / thousands for each in self.looks],
            "log": [
                (LOG_SHARES + len(VALIDATION_SHARES)) * each / thousands
                for each in self.logs or [0.0] * len(self.looks)
            ],
            "checkpoint": [
                one * each / max(1e3 * cfg.checkpoint.seconds, step)
                for one, each, step in zip(self.checkpoints, self.steps, step_ms, strict=True)
            ],
        }
        default = [sum(each) for each in zip(self.steps, *parts.values(), strict=True)]
        shares = {name: over(taken, self.bare) for name, taken in (parts | {"data": self.data}).items()}
        taken = {
            "bare_ms": self.bare,
            "trainer_ms": self.trainer,
            "default_ms": default,
            "steps_ms": self.steps,
            "data_ms": self.data,
            "trainer_ratio": over(self.trainer, self.bare),
            "default_ratio": over(default, self.bare),
            **{f"{name}_share": share for name, share in shares.items() if name != "log" or self.logs},
            "look_ms": self.looks,
            "log_ms": self.logs,
            "checkpoint_ms": self.checkpoints,
        }
        return {name: span(each) for name, each in taken.items() if each}

    def budget_thousands(self, cfg: DictConfig) -> float:
        """How many 1,000 words the budget lets a system train on."""
        limits = [cfg.budget.words and cfg.budget.words / 1e3]
        limits += [cfg.budget.seconds and 1e3 * cfg.budget.seconds / span(self.steps)[1]]
        return min(limit for limit in limits if limit)


def over(one: list[float], other: list[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(one, other, strict=True)]


def steps_of(cfg: DictConfig) -> int:
    """In a round.

    Raises:
        SettingError: so few that none counts.
    """
    steps = -(-cfg.cost.words // (cfg.batch.streams * cfg.batch.steps))
    if steps <= SETTLING + 1:
        raise SettingError("cost.words", f"{cfg.cost.words} words are {steps} steps; more than {SETTLING + 1} count")
    return steps


def bare(cfg: DictConfig, built: Built, found: Rounds, folder: Path, bar: Bar) -> None:
    """What one writes by hand."""
    model, watched, steps = built.model, Watched(built.datamodule.batches), steps_of(cfg)
    trainer = make_trainer(cfg, SameSteps(cfg), LocalRank(), None)  # knows device and precision, and is not used
    if trainer.world_size > 1:
        raise SettingError("trainer", "the loops are measured on one device; choose trainer=auto")
    device, batches = trainer.strategy.root_device, iter(watched)
    model.to(device).train()
    optimizer, parameters = model.configure_optimizers(), [*model.parameters()]
    for step in range(steps):
        set_learning_rate(optimizer, model.lr, step / steps)
        batch = move_data_to_device(next(batches), device)
        optimizer.zero_grad()
        with trainer.precision_plugin.forward_context():
            loss = model.training_step(batch, step)
        loss.backward()
        if cfg.optimizer.gradient_clip is not None:
            clip(parameters, cfg.optimizer.gradient_clip)
        optimizer.step()
    float(loss.detach())  # waits for the device
    next(batches)
    found.bare.append(watched.ms_per_1k(watched.seconds))


class SameSteps(pl.Callback):
    """All that Trainer needs of us to take the same steps, and as many."""

    def __init__(self, cfg: DictConfig):
        self.largest, self.steps = cfg.optimizer.gradient_clip, steps_of(cfg)

    def on_before_optimizer_step(self, trainer: pl.Trainer, model: pl.LightningModule, optimizer: Any) -> None:
        if self.largest is not None:
            clip(model.parameters(), self.largest)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.steps


def trainer_alone(cfg: DictConfig, built: Built, found: Rounds, folder: Path, bar: Bar) -> None:
    """Lightning's loop with next to nothing hung into it."""
    data = WatchedData(built.datamodule.batches)
    make_trainer(cfg, SameSteps(cfg), LocalRank(), None).fit(built.model, data)
    found.trainer.append(data.watched.ms_per_1k(data.watched.seconds))


def default(cfg: DictConfig, built: Built, found: Rounds, folder: Path, bar: Bar) -> None:
    """As a cell trains; the budget is `cost.words`, within which every look is due."""
    data, looks, rows, saves = WatchedData(built.datamodule.batches), *(Interruptions() for _ in range(3))
    short = cfg.copy()
    short.budget = {"words": cfg.cost.words, "seconds": None}
    begin = time.perf_counter()
    with cell_logger(plain_config(cfg), folder / "loop") as logger:
        started = time.perf_counter() - begin
        if logger is not None:
            logger.log_metrics = rows.timing(logger.log_metrics)
        checkpoint = OnceDue(folder / "loop.ckpt", seconds=cfg.checkpoint.seconds)
        checkpoint.save = saves.timing(checkpoint.save)
        validate = looks.timing(partial(evaluator_of(built.model).validate, built.evaluation_data))
        budget = make_budget(
            short, validate=lambda _: validate(), flops_per_position=1.0, checkpoint=checkpoint, bar=bar
        )
        make_trainer(cfg, budget, LocalRank(), logger).fit(built.model, data)
        watched, begin = data.watched, time.perf_counter()
    if logger is not None:
        found.logger_start.append(started + time.perf_counter() - begin)
        found.logs.append(1e3 * span(rows.taken)[1])
    apart = sum(each.between(watched.since, watched.asked[-1]) for each in (looks, rows, saves))
    found.steps.append(watched.ms_per_1k(watched.seconds - apart))
    found.data.append(watched.ms_per_1k(watched.waiting))
    found.looks.append(1e3 * span(looks.taken)[1])
    found.checkpoints.append(1e3 * span(saves.taken)[1])
