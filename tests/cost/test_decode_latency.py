"""Decode latency of a cell: short calls are repeated, a long call is timed once."""

from types import SimpleNamespace

import pytest
import torch

from bench.cost import record_costs
from bench.cost.timing import LEAST_CALLS


@pytest.mark.parametrize(("longest_ms", "calls"), [(1e9, 1 + 2 + LEAST_CALLS), (0.0, 1)], ids=["short", "long"])
def test_short_calls_are_repeated_and_a_long_call_is_timed_once(longest_ms, calls, monkeypatch):
    """A short call is timed, called twice for warmth, and then timed at least five times."""
    monkeypatch.setattr(record_costs, "LONG_MS", longest_ms)
    monkeypatch.setattr(record_costs, "DECODE_SECONDS", 0.0)
    decoded = []
    evaluator = SimpleNamespace(
        decoder=lambda data, most: decoded.append, model=SimpleNamespace(device=torch.device("cpu"))
    )
    figures = record_costs.decode_latency(evaluator, None)
    assert set(figures) == {"decode_ms_1", "decode_ms_256"} and all(each >= 0 for each in figures.values())
    assert decoded == [1] * calls + [256] * calls
