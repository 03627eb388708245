"""Base class of a cell's loggers. Loggers show a running cell; its results are in the record.

A logger that cannot be reached, breaks or hangs is reported in one line, and the run continues without it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger

from bench.core.record import Record

STEP_METRICS = ("words", "seconds", "flops")  # x axes; every row has all three

SUMMARY_TEXTS = ("status", "reason", "device", "git_commit", "finished_at")  # fields of a record

FINISH_SECONDS = 60  # limit on one call of a logger


class CellLogger(Logger):
    """Lightning logger that reports its first failure in one line, then stops logging; the run continues.

    Args:
        marker: file that says which record was logged completely.
    """

    first_step = 0  # rows before this step are already in the run

    def __init__(self, marker: Path):
        super().__init__()
        self.marker, self.is_broken, self.exit_code = marker, False, 1
        self.state: str | None = None  # of the record that was logged, for the marker

    name = version = None  # Lightning names checkpoints after these; no checkpoint is written here

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Do nothing: the run was started with its settings."""

    def log_metrics(self, metrics: dict[str, Any], step: int) -> None:
        if step >= self.first_step:
            self.attempt(lambda: self.write_row(metrics, step))

    def log_rows(self, rows: Iterable[tuple[str, dict[str, float]]]) -> None:
        """Log rows of the given kinds, in the order of their words."""
        for kind, row in sorted(rows, key=lambda each: each[1]["words"]):
            self.log_metrics(prefixed(kind, row), step=int(row["words"]))

    def log_record(self, record: Record) -> None:
        """Log a record's figures."""
        self.exit_code, self.state = int(record.status != "ok"), str(record.finished_at)
        self.attempt(lambda: self.write_record(record))

    def close(self) -> None:
        """End the run, and remember which record it holds if no call failed, the last included."""
        self.attempt(self.end)
        if self.state is not None and not self.is_broken:
            with contextlib.suppress(OSError):  # a full disk: the next command logs the record again
                self.marker.parent.mkdir(parents=True, exist_ok=True)
                self.marker.write_text(self.state)

    def attempt(self, call: Callable[[], object]) -> None:
        """Call a function, unless an earlier call failed."""
        if not self.is_broken and (problem := call_with_limit(call)):
            self.is_broken = True
            print(f"logger: broken ({problem}); the run continues, and its record will hold all figures")
            call_with_limit(self.abandon)

    def write_row(self, metrics: dict[str, Any], step: int) -> None:
        raise NotImplementedError

    def write_record(self, record: Record) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """Close the run, with `exit_code`."""

    def abandon(self) -> None:
        """Free what a broken logger holds."""


class CsvCellLogger(CellLogger):
    """`metrics.csv` in the cell's folder.

    A cell that continues from a checkpoint writes all rows again. A record has no rows of training: the file of a
    finished cell is kept as `<cell>-earlier.csv` when its record is logged again.
    """

    def __init__(self, folder: Path, cell: str, is_finished: bool = False):
        super().__init__(folder / cell / "logged")
        metrics, earlier = folder / cell / "metrics.csv", folder / f"{cell}-earlier.csv"
        if not is_finished:
            earlier.unlink(missing_ok=True)
        elif metrics.exists() and not earlier.exists():
            metrics.rename(earlier)
        metrics.unlink(missing_ok=True)  # Lightning would warn of it
        self.marker.unlink(missing_ok=True)
        self.logger = CSVLogger(folder, name=cell, version="")

    def write_row(self, metrics: dict[str, Any], step: int) -> None:
        self.logger.log_metrics(metrics, step)
        self.logger.save()

    def write_record(self, record: Record) -> None:
        self.write_row(summary_of(record), record.trained_words or 0)


def call_with_limit(call: Callable[[], object], seconds: float = FINISH_SECONDS) -> str | None:
    """Call a function in a thread, and wait for it at most a number of seconds; a slower call is abandoned.

    Returns:
        What went wrong, in a few words; None if nothing did.
    """
    problems: list[str] = []

    def catch() -> None:
        try:
            call()
        except Exception as error:  # each library has its own types
            problems.append(type(error).__name__)

    thread = threading.Thread(target=catch, daemon=True)
    thread.start()
    thread.join(seconds)
    return f"no answer in {seconds:g} s" if thread.is_alive() else next(iter(problems), None)


def prefixed(kind: str, row: dict[str, float]) -> dict[str, float]:
    """Prefix the keys of a row with its kind, except x axes: `curve/validation_nats` is not the record's figure."""
    return {key if key in STEP_METRICS else f"{kind}/{key}": value for key, value in row.items()}


def summary_of(record: Record) -> dict[str, float | str]:
    """Return a record's numbers, accuracy per decile, status and origin, flat."""
    numbers = {name: value for name, value in vars(record).items() if type(value) in (int, float)}
    deciles = {f"accuracy_by_decile/{i}": share for i, share in enumerate(record.accuracy_by_decile or [], 1)}
    texts = {name: value for name in SUMMARY_TEXTS if (value := getattr(record, name)) is not None}
    versions = {f"versions/{name}": version for name, version in record.versions.items()}
    return numbers | deciles | texts | versions


def is_logged(marker: Path, state: str | None) -> bool:
    """True if a marker names this state, such as the time when a record finished; False for a cell without one."""
    return state is not None and marker.is_file() and marker.read_text() == state
