"""Interleaved rounds: every contender is measured once per round, so that a drift of the machine affects all alike."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from bench.core.errors import one_line, status_of, unwrap
from bench.cost.contender import Missing
from bench.cost.timing import TooLong


@dataclass(eq=False, kw_only=True)
class Result:
    """Figures of one contender so far, and its first failure. A kind of contender adds its timings."""

    figures: dict[str, Any] = field(default_factory=dict)  # by the name of the ledger's field
    status: str = "ok"  # ok | slow | missing | oom | diverged | failed
    reason: str | None = None  # one line; None if the status is ok

    @property
    def due(self) -> bool:
        """True if the next round measures this contender: a contender that failed is not tried again."""
        return self.status == "ok"

    @contextmanager
    def attempt(self, operation: str = "") -> Iterator[None]:
        """Turn an exception of the body into a failure of this contender."""
        try:
            yield
        except Exception as error:
            self.fail(unwrap(error), operation)

    def fail(self, error: Exception, operation: str = "") -> None:
        """Set status and reason, unless an earlier failure has set them.

        Args:
            operation: begins the reason, unless a package or a device is missing.
        """
        if self.status != "ok":
            return
        expected = {TooLong: "slow", Missing: "missing"}.get(type(error))
        self.status = expected or status_of(error) or "failed"
        text = str(error) if expected else one_line(error)
        self.reason = f"{operation}: {text}" if operation and self.status != "missing" else text


class Participant(NamedTuple):
    """Unit that every round measures once: its label, its result, and the function that measures it."""

    label: str  # for the progress display
    result: Result  # participants that share a result are measured as long as none of them has failed
    measure: Callable[[int], object]  # called with the round's number, from 0


def interleave(
    participants: Sequence[Participant],
    rounds: int,
    show: Callable[[float, str], None],
    after_round: Callable[[], object] = lambda: None,
) -> None:
    """Measure all participants in every round, in the given order; those whose result is not due are left out.

    Args:
        rounds: the most that any participant has.
        show: called before each measurement with the share of all rounds that is done, and a text.
    """
    for nth_round in range(rounds):
        for nth, (label, result, measure) in enumerate(participants):
            show((nth_round + nth / len(participants)) / rounds, f"round {nth_round + 1}: {label}")
            if not result.due:
                continue
            with result.attempt():
                measure(nth_round)
            if result.status == "oom":
                gc.collect()
                torch.cuda.empty_cache()
        after_round()
        gc.collect()
