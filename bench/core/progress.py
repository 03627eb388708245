"""One line on the screen: which cell of the sweep, how fast, how long still."""

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

CONSOLE = Console(stderr=True)


@dataclass
class Tally:
    """The cells of a sweep that this process has seen, and how long they took."""

    total: int = 1
    done: int = 0
    alone: bool = True  # no other process runs cells of this sweep meanwhile
    seconds: list[float] = field(default_factory=list)  # of the cells that ran

    def left(self, of_this_cell: float = 0.0) -> str:
        """Time left, from the mean of the cells so far; a question mark where nobody can tell yet."""
        if not self.seconds or not self.alone:
            return "?"
        mean = sum(self.seconds) / len(self.seconds)
        return clock(mean * max(0, self.total - self.done - 1) + max(0.0, mean - of_this_cell))


TALLY = Tally()  # of this process; the sweep's start sets `total`


def clock(seconds: float) -> str:
    """127 s -> 2:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Bar:
    """How far one cell is."""

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
        """Move to this share of the budget."""
        self.note(share, f"{words_per_second:,.0f} words/s")

    def note(self, share: float, text: str) -> None:
        """Move to this share, and say what is going on."""
        left = TALLY.left(time.perf_counter() - self.begin)
        self.progress.update(self.task, completed=share, speed=text, left=left)


def report_cell_end(cell: str, outcome: str, seconds: float | None) -> None:
    """One line a cell that stays on the screen; `seconds` is None for a cell that need not run."""
    TALLY.done += 1
    if seconds is not None:
        TALLY.seconds.append(seconds)
    took = "" if seconds is None else f", {seconds:.0f} s"
    left = f"; {TALLY.left()} left" if TALLY.alone and TALLY.done < TALLY.total else ""
    print_line(f"[{TALLY.done}/{TALLY.total}] {cell}: {outcome}{took}{left}")


def print_line(line: str) -> None:
    """As it is, on one line."""
    CONSOLE.print(line, markup=False, highlight=False, soft_wrap=True)
