"""Timers around a training loop: its batches, and its calls of validation, logger and checkpoint."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl

from bench.data.step_batches import StepData
from bench.training.checkpoint import Checkpoint

WARM_UP_STEPS = 5  # first steps of a loop, which no figure counts


class TimedBatches:
    """Endless batches that record when each was requested and when it was ready."""

    def __init__(self, batches: Iterable[Any]):
        self.batches = batches
        self.requested: list[float] = []  # s
        self.ready: list[float] = []  # s
        self.words: list[int] = []

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.batches)
        while True:
            self.requested.append(time.perf_counter())
            batch = next(batches)
            self.ready.append(time.perf_counter())
            self.words.append(batch.trained_words)
            yield batch

    @property
    def begin(self) -> float:
        """Return when the first counted step began, s."""
        return self.requested[WARM_UP_STEPS]

    @property
    def end(self) -> float:
        """Return when the last counted step ended, s."""
        return self.requested[-1]

    @property
    def seconds(self) -> float:
        """Return the time from the first counted step to the last."""
        return self.end - self.begin

    @property
    def waiting(self) -> float:
        """Return the part of `seconds` that the loop waited for batches."""
        counted = slice(WARM_UP_STEPS, -1)
        both = zip(self.ready[counted], self.requested[counted], strict=True)
        return sum(ready - requested for ready, requested in both)

    def ms_per_1k(self, seconds: float) -> float:
        """Spread a time over the words of the counted steps, ms per 1,000 words."""
        return 1e6 * seconds / sum(self.words[WARM_UP_STEPS:-1])


class TimedData(StepData):
    """Training data whose batches are timed where training waits for them."""

    def train_dataloader(self) -> TimedBatches:
        self.timed = TimedBatches(super().train_dataloader())
        return self.timed


@dataclass(eq=False)
class TimedCalls:
    """Calls of one kind: when each began and how long it took."""

    begins: list[float] = field(default_factory=list)  # s
    durations: list[float] = field(default_factory=list)  # s

    def timing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a timer around every call."""

        def timed(*arguments: Any, **named: Any) -> Any:
            self.begins.append(time.perf_counter())
            try:
                return call(*arguments, **named)
            finally:
                self.durations.append(time.perf_counter() - self.begins[-1])

        return timed

    def seconds_between(self, begin: float, end: float) -> float:
        """Return the duration of all calls that began in [begin, end)."""
        calls = zip(self.begins, self.durations, strict=True)
        return sum(duration for begun, duration in calls if begin <= begun < end)


class SingleCheckpoint(Checkpoint):
    """Checkpoint that is due at the first step alone."""

    saved = False

    @property
    def due(self) -> bool:
        return not self.saved

    def save(self, trainer: pl.Trainer) -> None:
        super().save(trainer)
        self.saved = True
