"""SIGTERM, which a cluster sends before it takes a machine away, and Ctrl-C: to stop where nothing is lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)

STOPPED = 75  # exit status EX_TEMPFAIL of sysexits.h: the same command goes on


class Stopped(BaseException):
    """A signal asked for it. Not an Exception, so that nothing takes it for a cell that failed."""


class Stop:
    """What signals have asked for: they raise Stopped at once, but while held back wait for who holds them."""

    def __init__(self) -> None:
        self.asked: str | None = None  # the signal's name
        self.held = False

    def __call__(self, number: int, _: Any) -> None:
        self.asked = signal.Signals(number).name
        if not self.held:
            raise Stopped(self.asked)

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Within, both signals are ours; only a process's main thread may ask for that."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self) for each in SIGNALS}
        try:
            yield
        finally:
            self.asked = None
            for each, handler in before.items():
                signal.signal(each, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Within, a signal is but noted.

        Raises:
            Stopped: one came; at the end, or before where the holder raises it himself.
        """
        self.held = True
        try:
            yield
        finally:
            self.held = False
        if self.asked:
            raise Stopped(self.asked)


STOP = Stop()  # a process has one set of signal handlers
