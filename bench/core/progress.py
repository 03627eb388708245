"""Progress on the screen: the cell of the sweep, its speed, the time left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench.core.stored_result import trace_path

CONSOLE = Console(stderr=True)

# V at which a cell takes twice as long as at V = 0, if its time grows linearly with V: about the mean of the default
# systems on two cores. Every estimate uses this value.
GROWTH_WORDS = 20_000

# A cell without training takes as long as training on this many words.
REST_WORDS = 100_000


class PlannedCell(NamedTuple):
    """One cell of a sweep, as the estimate of the time left needs it."""

    system: str
    size: int  # vocabulary size, V
    pending: bool  # False: its result exists, so the cell will be skipped
    words: int = 300_000  # to train on; 0: the cell finds kept weights, as of a model that is the same at every V
    result: Path = Path()  # file that the cell leaves

    def has_ended(self, since: float) -> bool:
        """True if the cell has left a result, or failed beside an older one, since a time in seconds."""
        files = self.result, trace_path(self.result.with_suffix(""))
        return any(file.is_file() and file.stat().st_mtime >= since for file in files)


@dataclass
class Tally:
    """Cells of a sweep, number of those that have ended, and the times of those that ran in this process.

    A cell's time is estimated from the latest cell of its system, or else from all cells so far. The time grows with V
    (`GROWTH_WORDS`) and with the number of training words (`REST_WORDS`). Where several processes share a sweep, each
    knows the times of its own cells only, and estimates from the time since the sweep began.
    """

    done: int = 0
    alone: bool = True  # no other process runs cells of this sweep at the same time
    began: float = 0.0  # time in seconds at which the sweep began, if several processes share it
    processes: int | None = 1  # number of them; None if a cluster decides it
    cells: list[PlannedCell] = field(default_factory=lambda: [PlannedCell("", 0, pending=True)])  # in order
    seconds: list[tuple[PlannedCell, float]] = field(default_factory=list)  # one entry for each cell that ran

    @property
    def total(self) -> int:
        """Number of cells of the sweep."""
        return len(self.cells)

    def cell_ended(self, seconds: float | None) -> None:
        """Count a cell; `seconds` is None for a cell that was skipped."""
        if seconds is not None and self.done < len(self.cells):
            self.seconds.append((self.cells[self.done], seconds))
        self.done += 1

    def left(self, elapsed: float = 0.0, share: float = 0.0) -> str:
        """Return the estimated time left; a question mark if it cannot be estimated.

        Args:
            elapsed: seconds that the running cell has taken.
            share: share of the running cell's work that is done; read only if no cell has ended.
        """
        if not self.alone:
            return self.left_of_shared_sweep()
        now, later = self.cells[self.done : self.done + 1], self.cells[self.done + 1 :]
        seconds = self.seconds
        if not seconds and now and share > 0:
            seconds = [(now[0], elapsed / share)]
        if not seconds:
            return "?"
        running = sum(estimate(cell, seconds) for cell in now if cell.pending)
        return "about " + clock(
            max(0.0, running - elapsed) + sum(estimate(cell, seconds) for cell in later if cell.pending)
        )

    def left_of_shared_sweep(self) -> str:
        """Return the estimated time left at the end of a cell; a question mark if it cannot be estimated.

        Results on disk tell which cells have ended; each of the other processes is taken to be halfway through a cell.
        """
        if self.processes is None:
            return "?"
        ended, rest = [], []
        for cell in self.cells:
            if cell.pending:
                (ended if cell.has_ended(self.began) else rest).append(weight(cell))
        if not ended:
            return "?"
        running = min(self.processes - 1, len(rest)) / 2 / max(1, len(rest)) * sum(rest)
        share = (sum(ended) + running) / (sum(ended) + sum(rest))
        return "about " + clock((time.time() - self.began) * (1 / share - 1))


def estimate(cell: PlannedCell, seconds: Sequence[tuple[PlannedCell, float]]) -> float:
    """Estimate the seconds of a cell from those of earlier cells, of which there is at least one."""
    own = [(earlier, each) for earlier, each in seconds if earlier.system == cell.system]
    alike = [(earlier, each) for earlier, each in own if earlier.words == cell.words]
    basis = [each * weight(cell) / weight(earlier) for earlier, each in alike[-1:] or own[-1:] or seconds]
    return sum(basis) / len(basis)


def weight(cell: PlannedCell) -> float:
    """Return the expected time of a cell in units of its system's time at V = 0 without training."""
    return (1 + cell.size / GROWTH_WORDS) * (1 + cell.words / REST_WORDS)


TALLY = Tally()  # of this process; `bench.sweep.SweepCallback` sets all fields but `seconds`


def clock(seconds: float) -> str:
    """Format seconds as minutes: 127 -> 2:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Bar:
    """Progress bar of one cell."""

    def __init__(self, cell: str):
        self.cell, self.begin = cell, time.perf_counter()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %  {task.fields[speed]}  sweep: {task.fields[left]} left"),
            console=CONSOLE,
            transient=True,
            disable=not CONSOLE.is_terminal or not TALLY.alone,  # bars of several processes would overwrite each other
        )

    def __enter__(self) -> "Bar":
        self.progress.start()
        where = f"[{TALLY.done + 1}/{TALLY.total}] {self.cell}"
        self.task = self.progress.add_task(where, total=1.0, speed="", left=TALLY.left())
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def show(self, share: float, text: str) -> None:
        """Show the share of the work that is done, and a text."""
        left = TALLY.left(time.perf_counter() - self.begin, share)
        self.progress.update(self.task, completed=share, speed=text, left=left)


def report_cell_end(cell: str, outcome: str, seconds: float | None) -> None:
    """Print the line that remains for a cell; `seconds` is None for a cell that was skipped."""
    TALLY.cell_ended(seconds)
    took = "" if seconds is None else f", {seconds:.0f} s"
    left = TALLY.left() if TALLY.done < TALLY.total else "?"
    print_line(f"[{TALLY.done}/{TALLY.total}] {cell}: {outcome}{took}" + ("" if left == "?" else f"; {left} left"))


def print_line(line: str) -> None:
    """Print a line without markup or wrapping."""
    CONSOLE.print(line, markup=False, highlight=False, soft_wrap=True)
