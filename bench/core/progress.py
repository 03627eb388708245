"""Progress on the screen: the cell of the sweep, its speed, the time left."""

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

CONSOLE = Console(stderr=True)


@dataclass
class Tally:
    """Number of cells of a sweep, finished cells in this process, and their times."""

    total: int = 1
    done: int = 0
    alone: bool = True  # no other process runs cells of this sweep at the same time
    seconds: list[float] = field(default_factory=list)  # one entry for each cell that ran

    def left(self, of_this_cell: float = 0.0) -> str:
        """Return the time left by the mean time of the cells so far; a question mark if it is unknown."""
        if not self.seconds or not self.alone:
            return "?"
        mean = sum(self.seconds) / len(self.seconds)
        return clock(mean * max(0, self.total - self.done - 1) + max(0.0, mean - of_this_cell))


TALLY = Tally()  # of this process; SweepCallback sets `total`


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
            disable=not CONSOLE.is_terminal,
        )

    def __enter__(self) -> "Bar":
        self.progress.start()
        where = f"[{TALLY.done + 1}/{TALLY.total}] {self.cell}"
        self.task = self.progress.add_task(where, total=1.0, speed="", left=TALLY.left())
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def update(self, share: float, words_per_second: float) -> None:
        """Show the share of the budget that is spent, and the speed."""
        self.note(share, f"{words_per_second:,.0f} words/s")

    def note(self, share: float, text: str) -> None:
        """Show the share of the work that is done, and a text."""
        left = TALLY.left(time.perf_counter() - self.begin)
        self.progress.update(self.task, completed=share, speed=text, left=left)


def report_cell_end(cell: str, outcome: str, seconds: float | None) -> None:
    """Print the line that remains for a cell; `seconds` is None for a cell that was skipped."""
    TALLY.done += 1
    if seconds is not None:
        TALLY.seconds.append(seconds)
    took = "" if seconds is None else f", {seconds:.0f} s"
    left = f"; {TALLY.left()} left" if TALLY.alone and TALLY.done < TALLY.total else ""
    print_line(f"[{TALLY.done}/{TALLY.total}] {cell}: {outcome}{took}{left}")


def print_line(line: str) -> None:
    """Print a line without markup or wrapping."""
    CONSOLE.print(line, markup=False, highlight=False, soft_wrap=True)
