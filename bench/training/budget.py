"""What Lightning does not know: budgets in words or seconds, and quality on the way against words, seconds, FLOPs."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch

from bench.core.errors import Diverged
from bench.core.progress import Bar
from bench.core.signals import STOP, Stopped
from bench.models.row_adamw import RowAdamW, clip
from bench.training.checkpoint import Checkpoint, random_state, restore_random_state

WARM_UP = 0.02  # share of the budget over which the learning rate rises

FLOOR = 0.02  # of the peak learning rate, at the end of its linear fall

VALIDATION_SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)  # shares of the budget after which validation is measured


class Budget(pl.Callback):
    """Stops after so many words or so many seconds of training steps, whichever comes first.

    The learning rate follows the share of the budget that is spent, so systems that differ in speed end their schedules
    alike at equal data and at equal time. Validation does not count.

    Args:
        words: predicted words; None sets no limit.
        seconds: of training steps; None sets no limit.
        look: called with the model now and then; returns figures for the curve.
        flops_per_position: of a training step, for the curve; None leaves the curve's `flops` out.
        gradient_clip: the largest norm of all gradients together; None clips none.
        checkpoint: is written now and then, and before a signal to stop is followed.
        bar: shows how far training is.
    """

    def __init__(
        self,
        *,
        words: int | None,
        seconds: float | None,
        look: Callable[[pl.LightningModule], dict[str, float]],
        flops_per_position: float | None,
        gradient_clip: float | None,
        checkpoint: Checkpoint,
        bar: Bar,
    ):
        self.limits = {"words": words, "seconds": seconds}
        self.look, self.flops_per_position, self.bar = look, flops_per_position, bar
        self.gradient_clip, self.checkpoint = gradient_clip, checkpoint
        self.spent = {"words": 0, "seconds": 0.0}
        self.step_ms_per_1k: list[float] = []
        self.curve: list[dict[str, float]] = []
        self.pending = list(VALIDATION_SHARES)
        self.random: dict[str, Any] | None = None  # that a checkpoint has brought

    def state_dict(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in ("spent", "step_ms_per_1k", "curve", "pending")}
        return {**kept, "random": random_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    @property
    def share(self) -> float:
        """Of the budget that is spent: 0 to 1."""
        return min(1.0, max(self.spent[unit] / limit for unit, limit in self.limits.items() if limit is not None))

    @property
    def train_ms_per_1k(self) -> float:
        """Median over steps, the optimiser's included."""
        return median(self.step_ms_per_1k)

    def on_train_start(self, trainer: pl.Trainer, model: pl.LightningModule) -> None:
        self.begin = time.perf_counter()

    def on_train_batch_start(self, trainer: pl.Trainer, model: pl.LightningModule, batch: Any, _: int) -> None:
        if self.random is not None:  # here, for what Lightning does before a first step draws too
            restore_random_state(self.random)
            self.random = None
        set_rate(trainer.optimizers[0], model.lr, self.share)

    def on_train_batch_end(
        self, trainer: pl.Trainer, model: pl.LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        loss = float(outputs["loss"])  # waits for the device: the step is over
        seconds = time.perf_counter() - self.begin
        if not torch.isfinite(torch.tensor(loss)):
            raise Diverged(f"the training loss is {loss} after {self.spent['words']:,} words; lower optimizer.lr")
        words, seconds = self._of_all_devices(trainer, model, batch.trained_words, seconds)
        self.spent["words"] += words
        self.spent["seconds"] += seconds
        self.step_ms_per_1k.append(seconds * 1e6 / words)
        self.bar.update(self.share, self.spent["words"] / self.spent["seconds"])
        due = [look for look in self.pending if self.share >= look]
        if due:  # one look where a step passed several
            self.pending = self.pending[len(due) :]
            self._measure(trainer, model)
        trainer.should_stop = self.share >= 1
        if not trainer.should_stop and (self.checkpoint.due or STOP.asked):
            if trainer.world_size == 1:  # of several devices each has recurrent states of its own
                self.checkpoint.save(trainer)
            if STOP.asked:
                raise Stopped(STOP.asked)
        self.begin = time.perf_counter()  # what fetches the next batch, targets included, counts as training

    def on_before_optimizer_step(self, trainer: pl.Trainer, model: pl.LightningModule, optimizer: Any) -> None:
        """Lightning refuses to clip for a fused optimiser under mixed precision; bfloat16 needs no unscaling first."""
        if self.gradient_clip is not None:
            clip(model.parameters(), self.gradient_clip)

    def _of_all_devices(
        self, trainer: pl.Trainer, model: pl.LightningModule, words: int, seconds: float
    ) -> tuple[int, float]:
        """Words are summed and the first device's clock goes for all, so that all end at the same step."""
        if trainer.world_size == 1:
            return words, seconds
        mine = torch.tensor([words, seconds * trainer.is_global_zero], dtype=torch.float64, device=model.device)
        words, seconds = trainer.strategy.reduce(mine, reduce_op="sum").tolist()
        return int(words), seconds

    def _measure(self, trainer: pl.Trainer, model: pl.LightningModule) -> None:
        for optimizer in trainer.optimizers:
            if isinstance(optimizer, RowAdamW):
                optimizer.settle()
        figures = self.look(model)
        model.train()
        spent = self.spent
        if self.flops_per_position is not None:
            spent = spent | {"flops": spent["words"] * self.flops_per_position}
        self.curve.append({**spent, **figures})
        for logger in trainer.loggers:
            logger.log_metrics(self.curve[-1], step=trainer.global_step)


def set_rate(optimizer: torch.optim.Optimizer, peak: float, share: float) -> None:
    """The learning rate when this share of the budget is spent: a short rise, then a linear fall."""
    rise, fall = share / WARM_UP, 1 - (1 - FLOOR) * share
    for group in optimizer.param_groups:
        group["lr"] = peak * min(max(rise, 0.05), fall)
