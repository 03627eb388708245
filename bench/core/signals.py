"""Stop on SIGTERM, which a cluster sends before it takes a machine away, or Ctrl-C, without losing work."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)

STOPPED = 75  # exit status EX_TEMPFAIL of sysexits.h: the same command continues


class Stopped(BaseException):
    """Raised by a signal. Not an Exception, so that the cell does not count as failed."""


@contextmanager
def handling(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Give both signals a handler within the block; outside the main thread, change nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, handler) for each in SIGNALS}
    try:
        yield
    finally:
        for each, earlier in before.items():
            signal.signal(each, earlier)


class Stop:
    """Signal handler that raises Stopped: at once, or at the end of the block that holds signals back."""

    def __init__(self) -> None:
        self.asked: str | None = None  # name of the signal that arrived
        self.held = False

    def __call__(self, number: int, _: Any) -> None:
        self.asked = signal.Signals(number).name
        if not self.held:
            raise Stopped(self.asked)

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Handle both signals within the block."""
        with handling(self):
            try:
                yield
            finally:
                self.asked = None

    def take_back(self) -> None:
        """Handle both signals again if another library has given them its own handler within `catching`."""
        if self in map(signal.getsignal, SIGNALS):
            for each in SIGNALS:
                signal.signal(each, self)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Record a signal within the block, and raise at its end.

        Raises:
            Stopped: a signal arrived.
        """
        self.held = True
        try:
            yield
        finally:
            self.held = False
        if self.asked:
            raise Stopped(self.asked)


class Interrupted(KeyboardInterrupt):
    """Raised in a sweep's own process by either signal; joblib then ends its workers, as on Ctrl-C."""


@contextmanager
def interrupting() -> Iterator[None]:
    """Let either signal raise Interrupted within the block; a job has its own handler.

    By default SIGTERM would end this process alone, and its worker processes would continue to train.
    """

    def interrupt(number: int, _: Any) -> None:
        raise Interrupted(signal.Signals(number).name)

    with handling(interrupt):
        yield


STOP = Stop()  # one object, as a process has one set of signal handlers
