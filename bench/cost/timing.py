"""How long a call takes, what bounds it, and how fast the machine is meanwhile."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

import numpy as np
import torch

LEAST_SECONDS, LEAST_TIMES = 0.2, 5


def once_ms(call: Callable[[], object], device: torch.device) -> float:
    """One call, the device's queue awaited before and after."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    begin = time.perf_counter()
    call()
    wait()
    return 1e3 * (time.perf_counter() - begin)


def milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """Median of repeated calls after two to warm up."""
    taken: list[float] = []
    call(), call()
    while len(taken) < LEAST_TIMES or sum(taken) < 1e3 * LEAST_SECONDS:
        taken.append(once_ms(call, device))
    return median(taken)


MATRIX = {"cpu": 2048, "cuda": 8192}  # rows and columns of the product that stands for the machine's peak


class TooLong(Exception):
    """A first call went beyond the limit."""


def repeated_ms(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """The median of calls for so many seconds."""
    taken: list[float] = []
    while not taken or sum(taken) < 1e3 * seconds:
        taken.append(once_ms(call, device))
    return median(taken)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bounds what runs inside; only a process's main thread can, elsewhere it takes what it takes.

    Raises:
        TooLong: it was cut off.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise TooLong(f"more than {seconds:g} s; cost.longest_seconds allows more")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def matmul_gflops(device: torch.device, kind: torch.dtype, seconds: float) -> float:
    """What a large square product reaches now."""
    size = MATRIX[device.type]
    one, other = torch.randn(2, size, size, device=device, dtype=kind)
    one @ other
    return 2 * size**3 / 1e6 / repeated_ms(lambda: one @ other, device, seconds)


def span(taken: Sequence[float]) -> list[float]:
    """[p20, p50, p80]"""
    return [float(f"{each:.4g}") for each in np.quantile(taken, (0.2, 0.5, 0.8))]
