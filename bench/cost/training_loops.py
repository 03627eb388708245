"""Three training loops, measured in interleaved rounds: a bare loop, Lightning's Trainer, this project's training."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities import move_data_to_device
from omegaconf import DictConfig

from bench.core.errors import SettingError
from bench.core.paths import plain_config
from bench.core.progress import Bar
from bench.cost.interleave import Participant, Result, interleave
from bench.cost.loop_timers import WARM_UP_STEPS, SingleCheckpoint, TimedBatches, TimedCalls, TimedData
from bench.cost.timing import span
from bench.evaluation.evaluator import evaluator_of
from bench.models.row_adamw import clip_gradients
from bench.training.budget import LOG_SHARES, VALIDATION_SHARES, set_learning_rate
from bench.training.build import Built, build_cell
from bench.training.distributed import LocalRank
from bench.training.loggers import cell_logger
from bench.training.train import make_budget, make_trainer


@dataclass(eq=False)
class LoopTimings(Result):
    """Times of one system's loops, one figure per round."""

    bare: list[float] = field(default_factory=list)  # ms per 1,000 words
    trainer: list[float] = field(default_factory=list)  # ms per 1,000 words
    steps: list[float] = field(default_factory=list)  # ms per 1,000 words, of training without the calls below
    data: list[float] = field(default_factory=list)  # ms per 1,000 words, of `steps` waiting for batches
    validations: list[float] = field(default_factory=list)  # ms per call
    logs: list[float] = field(default_factory=list)  # ms per call; empty without a logger
    checkpoints: list[float] = field(default_factory=list)  # ms per call
    logger_start: list[float] = field(default_factory=list)  # s, start and end together

    def fail(self, error: Exception, operation: str = "") -> None:
        """Set status and reason.

        Raises:
            SettingError: the settings cannot work for any system.
        """
        if isinstance(error, SettingError):
            raise error from None
        super().fail(error, operation)

    def spans(self, cfg: DictConfig) -> dict[str, list[float]]:
        """Return the ledger's figures: a periodic call's time is spread over the words until the call is due again."""
        thousands = self.budget_thousands(cfg)
        step_ms = [each * cfg.batch.streams * cfg.batch.steps / 1e3 for each in self.steps]
        periodic = {
            "look": [len(VALIDATION_SHARES) * each / thousands for each in self.validations],
            "log": [
                (LOG_SHARES + len(VALIDATION_SHARES)) * each / thousands
                for each in self.logs or [0.0] * len(self.validations)
            ],
            "checkpoint": [
                call * each / max(1e3 * cfg.checkpoint.seconds, step)
                for call, each, step in zip(self.checkpoints, self.steps, step_ms, strict=True)
            ],
        }
        default = [sum(each) for each in zip(self.steps, *periodic.values(), strict=True)]
        shares = {name: ratios(times, self.bare) for name, times in (periodic | {"data": self.data}).items()}
        figures = {
            "bare_ms": self.bare,
            "trainer_ms": self.trainer,
            "default_ms": default,
            "steps_ms": self.steps,
            "data_ms": self.data,
            "trainer_ratio": ratios(self.trainer, self.bare),
            "default_ratio": ratios(default, self.bare),
            **{f"{name}_share": share for name, share in shares.items() if name != "log" or self.logs},
            "look_ms": self.validations,
            "log_ms": self.logs,
            "checkpoint_ms": self.checkpoints,
        }
        return {name: span(values) for name, values in figures.items() if values}

    def budget_thousands(self, cfg: DictConfig) -> float:
        """Return the number of words that the budget lets a system train on, in 1,000."""
        limits = [cfg.budget.words and cfg.budget.words / 1e3]
        limits += [cfg.budget.seconds and 1e3 * cfg.budget.seconds / span(self.steps)[1]]
        return min(limit for limit in limits if limit)


def ratios(times: list[float], baseline: list[float]) -> list[float]:
    """Divide round by round."""
    return [a / b for a, b in zip(times, baseline, strict=True)]


def measure(cfg: DictConfig, show: Callable[[float, str], None], bar: Bar) -> LoopTimings:
    """Measure all rounds of one system; the three loops start from equal weights and random state.

    Args:
        show: see `interleave`.
        bar: progress bar, passed to this project's training.

    Raises:
        SettingError: the settings cannot work.
    """
    timings = LoopTimings()
    with timings.attempt():
        built = build_cell(cfg)
        weights = {name: each.clone() for name, each in built.model.state_dict().items()}

        def run(loop: Callable[..., None], _: int) -> None:
            built.model.load_state_dict(weights)
            built.model.state = None
            torch.manual_seed(cfg.seed)
            with tempfile.TemporaryDirectory() as folder:
                loop(cfg, built, timings, Path(folder), bar)

        loops = {"bare loop": bare_loop, "Trainer": trainer_loop, "training": default_loop}
        participants = [
            Participant(f"{cfg.system.name}, {name}", timings, partial(run, loop)) for name, loop in loops.items()
        ]
        interleave(participants, cfg.cost.rounds, show)
    if timings.status == "ok":
        timings.figures |= timings.spans(cfg)
    return timings


def steps_per_round(cfg: DictConfig) -> int:
    """Return the number of steps of each loop in a round.

    Raises:
        SettingError: warm-up leaves no step that counts.
    """
    steps = -(-cfg.cost.words // (cfg.batch.streams * cfg.batch.steps))
    if steps <= WARM_UP_STEPS + 1:
        least = f"give words for more than {WARM_UP_STEPS + 1} steps, as the first {WARM_UP_STEPS} do not count"
        raise SettingError("cost.words", f"{cfg.cost.words} words are {steps} steps; {least}")
    return steps


def bare_loop(cfg: DictConfig, built: Built, timings: LoopTimings, folder: Path, bar: Bar) -> None:
    """Train by a loop that a user would write by hand."""
    model, timed, steps = built.model, TimedBatches(built.datamodule.batches), steps_per_round(cfg)
    trainer = make_trainer(cfg, FixedSteps(cfg), LocalRank(), None)  # gives device and precision; it trains nothing
    if trainer.world_size > 1:
        raise SettingError("trainer", "the loops are measured on one device; choose trainer=auto")
    device, batches = trainer.strategy.root_device, iter(timed)
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
            clip_gradients(parameters, cfg.optimizer.gradient_clip)
        optimizer.step()
    float(loss.detach())  # waits for the device
    next(batches)
    timings.bare.append(timed.ms_per_1k(timed.seconds))


class FixedSteps(pl.Callback):
    """Make Trainer clip gradients and stop as the bare loop does."""

    def __init__(self, cfg: DictConfig):
        self.gradient_clip, self.steps = cfg.optimizer.gradient_clip, steps_per_round(cfg)

    def on_before_optimizer_step(self, trainer: pl.Trainer, model: pl.LightningModule, optimizer: Any) -> None:
        if self.gradient_clip is not None:
            clip_gradients(model.parameters(), self.gradient_clip)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.steps


def trainer_loop(cfg: DictConfig, built: Built, timings: LoopTimings, folder: Path, bar: Bar) -> None:
    """Train by Lightning's Trainer without logger, validation or checkpoints."""
    data = TimedData(built.datamodule.batches)
    make_trainer(cfg, FixedSteps(cfg), LocalRank(), None).fit(built.model, data)
    timings.trainer.append(data.timed.ms_per_1k(data.timed.seconds))


def default_loop(cfg: DictConfig, built: Built, timings: LoopTimings, folder: Path, bar: Bar) -> None:
    """Train as a cell trains; the budget is `cost.words`, within which every validation is due."""
    data, validations, logs, checkpoints = TimedData(built.datamodule.batches), *(TimedCalls() for _ in range(3))
    short = cfg.copy()
    short.budget = {"words": cfg.cost.words, "seconds": None}
    begin = time.perf_counter()
    with cell_logger(plain_config(cfg), folder / "loop") as logger:
        start_seconds = time.perf_counter() - begin
        if logger is not None:
            logger.log_metrics = logs.timing(logger.log_metrics)
        checkpoint = SingleCheckpoint(folder / "loop.ckpt", seconds=cfg.checkpoint.seconds, source_sha256="")
        checkpoint.save = checkpoints.timing(checkpoint.save)
        validate = validations.timing(partial(evaluator_of(built.model).validate, built.evaluation_data))
        budget = make_budget(short, validate=validate, flops_per_position=1.0, checkpoint=checkpoint, bar=bar)
        make_trainer(cfg, budget, LocalRank(), logger).fit(built.model, data)
        timed, begin = data.timed, time.perf_counter()
    if logger is not None:
        timings.logger_start.append(start_seconds + time.perf_counter() - begin)
        timings.logs.append(1e3 * span(logs.durations)[1])
    apart = sum(each.seconds_between(timed.begin, timed.end) for each in (validations, logs, checkpoints))
    timings.steps.append(timed.ms_per_1k(timed.seconds - apart))
    timings.data.append(timed.ms_per_1k(timed.waiting))
    timings.validations.append(1e3 * span(validations.durations)[1])
    timings.checkpoints.append(1e3 * span(checkpoints.durations)[1])
