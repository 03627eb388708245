"""Training loops under a clock that they do not feel: when each batch was asked for, and what else took how long."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl

from bench.data.step_batches import StepData
from bench.training.checkpoint import Checkpoint

SETTLING = 5  # steps of a loop before those that count


class Watched:
    """Endless batches that note when they were asked for and given."""

    def __init__(self, batches: Iterable[Any]):
        self.batches = batches
        self.asked: list[float] = []  # s
        self.given: list[float] = []
        self.words: list[int] = []

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.batches)
        while True:
            self.asked.append(time.perf_counter())
            batch = next(batches)
            self.given.append(time.perf_counter())
            self.words.append(batch.trained_words)
            yield batch

    @property
    def since(self) -> float:
        """When the first step that counts began. s"""
        return self.asked[SETTLING]

    def ms_per_1k(self, seconds: float) -> float:
        """What took so long in the steps that count, of 1,000 of their words."""
        return 1e6 * seconds / sum(self.words[SETTLING:-1])

    @property
    def seconds(self) -> float:
        """From the first step that counts to the last."""
        return self.asked[-1] - self.since

    @property
    def waiting(self) -> float:
        """Of these, for batches. s"""
        return sum(given - asked for asked, given in zip(self.asked[SETTLING:-1], self.given[SETTLING:-1], strict=True))


class WatchedData(StepData):
    """Batches as training has them, watched where training waits for them."""

    def train_dataloader(self) -> Watched:
        self.watched = Watched(super().train_dataloader())
        return self.watched


@dataclass(eq=False)
class Interruptions:
    """Calls of one kind: when each began, and how long it took. s"""

    begun: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)

    def timing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, noted."""

        def timed(*given: Any, **named: Any) -> Any:
            self.begun.append(time.perf_counter())
            try:
                return call(*given, **named)
            finally:
                self.taken.append(time.perf_counter() - self.begun[-1])

        return timed

    def between(self, begin: float, end: float) -> float:
        """What those took that began within. s"""
        return sum(taken for begun, taken in zip(self.begun, self.taken, strict=True) if begin <= begun < end)


class OnceDue(Checkpoint):
    """Due at the first chance and not again."""

    saved = False

    @property
    def due(self) -> bool:
        return not self.saved

    def save(self, trainer: pl.Trainer) -> None:
        super().save(trainer)
        self.saved = True
