"""Training within a budget of words or seconds, with validation and log rows at fixed shares of the budget."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch

from bench.core.errors import Diverged
from bench.core.progress import Bar, print_line
from bench.core.signals import STOP, Stopped
from bench.models.row_adamw import RowAdamW, clip_gradients
from bench.training.cell_logger import CellLogger
from bench.training.checkpoint import Checkpoint, random_state, restore_random_state

WARM_UP = 0.02  # share of the budget over which the learning rate rises

FLOOR = 0.02  # of the peak learning rate, at the end of its linear fall

VALIDATION_SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)  # shares of the budget after which validation is measured

LOG_SHARES = 100  # rows of training loss per budget

STATE = (
    "validation_words",
    "spent",
    "step_ms_per_1k",
    "curve",
    "pending",
    "training_rows",
    "cpu_seconds",
    "wall_seconds",
    "machines",
)  # in checkpoints


class Budget(pl.Callback):
    """Lightning callback that ends training after a number of words or of seconds of steps, whichever comes first.

    The learning rate follows the share of the budget that is spent, so systems that differ in speed end their schedules
    alike at equal data and at equal time. Validation does not count.

    Args:
        words: predicted words; None sets no limit.
        seconds: of training steps; None sets no limit.
        validate: called at VALIDATION_SHARES; returns figures for the curve.
        flops_per_position: of a training step, for the curve; None leaves `flops` out.
        gradient_clip: the largest norm of all gradients together; None clips none.
        checkpoint: written at intervals, and before a signal to stop is followed.
        bar: progress bar of the cell.
        machine: text that names this machine; a checkpoint may come from another.
        validation_words: number of words that `validate` reads; None if it is not known.
    """

    def __init__(
        self,
        *,
        words: int | None,
        seconds: float | None,
        validate: Callable[[], dict[str, float]],
        flops_per_position: float | None,
        gradient_clip: float | None,
        checkpoint: Checkpoint,
        bar: Bar,
        machine: str = "",
        validation_words: int | None = None,
    ):
        self.limits = {"words": words, "seconds": seconds}
        self.validate, self.flops_per_position, self.bar = validate, flops_per_position, bar
        self.gradient_clip, self.checkpoint = gradient_clip, checkpoint
        self.spent = {"words": 0, "seconds": 0.0}
        self.cpu_seconds = self.wall_seconds = 0.0  # of the training thread during steps
        self.step_ms_per_1k: list[float] = []
        self.curve: list[dict[str, float]] = []
        self.training_rows: list[dict[str, float]] = []
        self.pending = list(VALIDATION_SHARES)
        self.validation_words = validation_words
        self.machines = [machine]  # names of the machines that trained, in order
        self.gradient_norm: torch.Tensor | None = None  # before clipping
        self.random: dict[str, Any] | None = None  # state from a checkpoint

    def state_dict(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in STATE}, "random": random_state()}

    def on_save_checkpoint(self, trainer: pl.Trainer, model: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["source_sha256"] = self.checkpoint.source_sha256
        checkpoint["pretrained_sha256"], checkpoint["forced"] = self.checkpoint.weights_sha256, self.checkpoint.forced

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint; its curve is left out if it was measured on another validation text."""
        words = self.validation_words
        if state.get("validation_words", words) != words:
            print_line("evaluation.validation_words: changed since the checkpoint, whose learning curve is left out")
            state = state | {"curve": []}
        machines = [*dict.fromkeys([*state["machines"], *self.machines])]
        vars(self).update(state | {"machines": machines, "validation_words": words})

    @property
    def share(self) -> float:
        """Share of the budget that is spent: 0 to 1."""
        return min(1.0, max(self.spent[unit] / limit for unit, limit in self.limits.items() if limit is not None))

    @property
    def train_ms_per_1k(self) -> float:
        """Median over steps, ms per 1,000 words; a step includes the optimiser's update."""
        return median(self.step_ms_per_1k)

    @property
    def cpu_share(self) -> float:
        """Share of the steps' time in which the training thread had a processor: 1 on a free machine.

        The time of this thread is used because the time of all threads is below threads x time even on a free machine,
        as a step has serial parts.
        """
        return min(1.0, self.cpu_seconds / self.wall_seconds)

    def on_train_start(self, trainer: pl.Trainer, model: pl.LightningModule) -> None:
        """Log the rows that a checkpoint brought; a logger that has them skips them."""
        STOP.take_back()  # in Lightning's handler of SIGTERM, the ranks of trainer=ddp wait for each other without end
        rows = [*(("training", row) for row in self.training_rows), *(("curve", row) for row in self.curve)]
        log_rows(trainer.loggers, rows)
        self._start_clocks()

    def on_train_batch_start(self, trainer: pl.Trainer, model: pl.LightningModule, batch: Any, _: int) -> None:
        if self.random is not None:  # restored here, since Lightning draws before the first step
            restore_random_state(self.random)
            self.random = None
        set_learning_rate(trainer.optimizers[0], model.lr, self.share)

    def on_train_batch_end(
        self, trainer: pl.Trainer, model: pl.LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        loss = float(outputs["loss"])  # waits for the device: the step is over
        seconds = time.perf_counter() - self.begin
        self.cpu_seconds += time.thread_time() - self.cpu_begin
        self.wall_seconds += seconds
        if not torch.isfinite(torch.tensor(loss)):
            raise Diverged(f"the training loss is {loss} after {self.spent['words']:,} words; lower optimizer.lr")
        words, seconds = self._reduce_over_devices(trainer, model, batch.trained_words, seconds)
        logged = int(self.share * LOG_SHARES)
        self.spent["words"] += words
        self.spent["seconds"] += seconds
        if words:  # no word begins in a batch of pieces of one long word
            self.step_ms_per_1k.append(seconds * 1e6 / words)
        self.bar.show(self.share, f"{self.spent['words'] / self.spent['seconds']:,.0f} words/s")
        if int(self.share * LOG_SHARES) > logged or not self.training_rows:
            self._log_training(trainer, loss)
        due = [share for share in self.pending if self.share >= share]
        if due:  # one validation if a step passed several shares
            self.pending = self.pending[len(due) :]
            self._log_validation(trainer, model)
        trainer.should_stop = self.share >= 1
        if not trainer.should_stop and (self.checkpoint.due or STOP.asked):
            if trainer.world_size == 1:  # each of several devices has recurrent states of its own
                self.checkpoint.save(trainer)
            if STOP.asked:
                raise Stopped(STOP.asked)
        self._start_clocks()  # fetching the next batch, targets included, counts as training

    def on_before_optimizer_step(self, trainer: pl.Trainer, model: pl.LightningModule, optimizer: Any) -> None:
        """Clip gradients, which Lightning refuses for a fused optimiser under mixed precision; bfloat16 is unscaled."""
        if self.gradient_clip is not None:
            self.gradient_norm = clip_gradients(model.parameters(), self.gradient_clip)

    def _start_clocks(self) -> None:
        self.begin, self.cpu_begin = time.perf_counter(), time.thread_time()

    def _reduce_over_devices(
        self, trainer: pl.Trainer, model: pl.LightningModule, words: int, seconds: float
    ) -> tuple[int, float]:
        """Return the words of all devices and the first device's seconds, so that all devices end at the same step."""
        if trainer.world_size == 1:
            return words, seconds
        own = torch.tensor([words, seconds * trainer.is_global_zero], dtype=torch.float64, device=model.device)
        words, seconds = trainer.strategy.reduce(own, reduce_op="sum").tolist()
        return int(words), seconds

    def _log_training(self, trainer: pl.Trainer, loss: float) -> None:
        before = self.training_rows[-1] if self.training_rows else {"words": 0, "seconds": 0.0}
        row = {
            **self._spent_with_flops(),
            "loss": loss,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "words_per_second": (self.spent["words"] - before["words"]) / (self.spent["seconds"] - before["seconds"]),
        }
        if self.gradient_norm is not None:
            row["gradient_norm"] = float(self.gradient_norm)
        self.training_rows.append(row)
        log_rows(trainer.loggers, [("training", row)])

    def _spent_with_flops(self) -> dict[str, float]:
        if self.flops_per_position is None:
            return {**self.spent}
        return {**self.spent, "flops": self.spent["words"] * self.flops_per_position}

    def _log_validation(self, trainer: pl.Trainer, model: pl.LightningModule) -> None:
        for optimizer in trainer.optimizers:
            if isinstance(optimizer, RowAdamW):
                optimizer.apply_all_skipped_updates()
        figures = self.validate()
        model.train()
        self.curve.append({**self._spent_with_flops(), **figures})
        log_rows(trainer.loggers, [("curve", self.curve[-1])])


def log_rows(loggers: list[CellLogger], rows: list[tuple[str, dict[str, float]]]) -> None:
    """Log rows, each with its kind."""
    for logger in loggers:
        logger.log_rows(rows)


def set_learning_rate(optimizer: torch.optim.Optimizer, peak: float, share: float) -> None:
    """Set the learning rate at this share of the budget: a short rise, then a linear fall."""
    rise, fall = share / WARM_UP, 1 - (1 - FLOOR) * share
    for group in optimizer.param_groups:
        group["lr"] = peak * min(max(rise, 0.05), fall)
