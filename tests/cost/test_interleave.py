"""Interleaved rounds: order, failure of one participant, number of rounds per participant, progress."""

import pytest
import torch

from bench.core.errors import Diverged
from bench.cost.contender import Missing
from bench.cost.interleave import Participant, Result, interleave
from bench.cost.timing import TooLong


def test_every_participant_is_measured_once_per_round_in_the_given_order():
    calls: list[tuple[str, int]] = []
    shown: list[tuple[float, str]] = []
    participants = [Participant(name, Result(), lambda n, name=name: calls.append((name, n))) for name in "ab"]
    interleave(participants, 2, lambda *note: shown.append(note), after_round=lambda: calls.append(("end", len(calls))))
    assert calls == [("a", 0), ("b", 0), ("end", 2), ("a", 1), ("b", 1), ("end", 5)]
    assert shown == [(0.0, "round 1: a"), (0.25, "round 1: b"), (0.5, "round 2: a"), (0.75, "round 2: b")]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Missing("pip install it"), "missing", "pip install it"),
        (TooLong("more than 1 s"), "slow", "more than 1 s"),
        (
            torch.OutOfMemoryError("can't allocate memory\nat all"),
            "oom",
            "OutOfMemoryError: can't allocate memory",
        ),
        (Diverged("the loss is nan"), "diverged", "Diverged: the loss is nan"),
        (ZeroDivisionError("division by zero"), "failed", "ZeroDivisionError: division by zero"),
    ],
)
def test_participant_that_fails_is_not_tried_again_and_the_others_are_measured(error, status, reason):
    calls: list[str] = []

    def fail(_: int) -> None:
        calls.append("bad")
        raise error

    bad, good = Result(), Result()
    participants = [Participant("bad", bad, fail), Participant("good", good, lambda _: calls.append("good"))]
    interleave(participants, 3, lambda *_: None)
    assert calls == ["bad", "good", "good", "good"]
    assert (bad.status, bad.reason, good.status, good.reason) == (status, reason, "ok", None)


def test_participants_that_share_a_result_stop_together():
    shared, calls = Result(), []

    def fail(_: int) -> None:
        calls.append("second")
        raise ValueError("no")

    participants = [
        Participant("first", shared, lambda _: calls.append("first")),
        Participant("second", shared, fail),
        Participant("third", shared, lambda _: calls.append("third")),
    ]
    interleave(participants, 2, lambda *_: None)
    assert calls == ["first", "second"] and shared.reason == "ValueError: no"


def test_participant_has_as_many_rounds_as_its_result_is_due():
    class Twice(Result):
        calls = 0

        @property
        def due(self) -> bool:
            return self.calls < 2

        def measure(self, _: int) -> None:
            self.calls += 1

    twice, always = Twice(), []
    participants = [Participant("", twice, twice.measure), Participant("", Result(), always.append)]
    interleave(participants, 4, lambda *_: None)
    assert (twice.calls, always) == (2, [0, 1, 2, 3])


def test_first_failure_gives_the_reason_and_names_the_operation():
    result = Result()
    for operation in ("step", "decode"):
        with result.attempt(operation):
            raise ValueError(operation)
    assert (result.status, result.reason) == ("failed", "step: ValueError: step")
