"""Clocks: time of a call, a time limit, and the machine's matmul peak.

Costs of records are measured in `bench.cost.record_costs`, all operations of ledgers in `bench.cost.head_rounds`.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median

import numpy as np
import torch

LEAST_CALLS = 5  # of `milliseconds`

MATRIX = {"cpu": 2048, "cuda": 8192}  # rows and columns of the product that measures the machine's peak, by device


class TooLong(Exception):
    """A call exceeded the time limit, or is predicted to exceed it from the time at a smaller V."""


def once_ms(call: Callable[[], object], device: torch.device) -> float:
    """Time one call, ms; waits for the device before and after."""
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None
    wait()
    begin = time.perf_counter()
    call()
    wait()
    return 1e3 * (time.perf_counter() - begin)


def milliseconds(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the median time of repeated calls after two warm-up calls, ms.

    Args:
        seconds: the calls are repeated for at least this time, and at least `LEAST_CALLS` times.
    """
    call(), call()
    return repeated_ms(call, device, seconds, LEAST_CALLS)


def repeated_ms(call: Callable[[], object], device: torch.device, seconds: float, least_calls: int = 1) -> float:
    """Return the median time of calls that are repeated for at least a given time, without warm-up, ms."""
    times: list[float] = []
    while len(times) < least_calls or sum(times) < 1e3 * seconds:
        times.append(once_ms(call, device))
    return median(times)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Limit the time of the body; outside the main thread, set no limit.

    Raises:
        TooLong: the body was cut off.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def cut_off(*_: object) -> None:
        raise TooLong(f"takes more than {seconds:g} s; raise cost.longest_seconds")

    before = signal.signal(signal.SIGALRM, cut_off)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def matmul_gflops(device: torch.device, dtype: torch.dtype, seconds: float) -> float:
    """Return the current speed of a large square matrix product, GFLOP/s."""
    size = MATRIX[device.type]
    one, other = torch.randn(2, size, size, device=device, dtype=dtype)
    one @ other
    return 2 * size**3 / 1e6 / repeated_ms(lambda: one @ other, device, seconds)


def span(values: Sequence[float]) -> list[float]:
    """Return [p20, p50, p80], to four digits."""
    return [float(f"{each:.4g}") for each in np.quantile(values, (0.2, 0.5, 0.8))]
