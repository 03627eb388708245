"""Loggers that `logger=wandb|csv|none` names, for a cell that runs and for one that has finished."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from hydra.utils import instantiate

from bench.core.dotted import flatten
from bench.core.record import Record
from bench.core.settings import Name
from bench.training.cell_logger import CellLogger, CsvCellLogger, is_logged


def none(**_: Any) -> None:
    """Make no logger."""


def csv(
    *, folder: Path, cell: str, config: dict[str, Any], resume: bool = False, finished_at: str | None = None
) -> CellLogger | None:
    """Log to `<folder>/logs/<cell>/metrics.csv`; None if the record that finished at `finished_at` was logged."""
    if is_logged(folder / "logs" / cell / "logged", finished_at):
        return None
    return CsvCellLogger(folder / "logs", cell, is_finished=finished_at is not None)


def weights_and_biases(
    *,
    folder: Path,
    cell: str,
    config: dict[str, Any],
    project: Name,
    mode: Literal["offline", "online", "disabled"],
    entity: Name | None = None,
    resume: bool = False,
    finished_at: str | None = None,
) -> CellLogger | None:
    """Log to the cell's own W&B run: grouped by experiment, tagged by head, its configuration flat.

    Args:
        mode: `offline` keeps the run on disk (`wandb sync` sends it later); `online` falls back to offline if there is
            no key or the service cannot be reached.
        resume: continue the cell's run; else a run of the same cell is overwritten.
        finished_at: of the record to log, if the cell has finished.

    Returns:
        None if W&B cannot run, or the record of `finished_at` was logged.
    """
    from bench.training.wandb_run import Markers, WandbCellLogger, run_id, start_run  # others work without wandb

    markers = Markers(folder, run_id(config, cell), project, entity)
    if markers.hold(finished_at, mode):
        return None
    place = {"project": project, "entity": entity, "resume": "allow" if resume else None}
    run = start_run(folder, cell, config, mode, place)
    if run is None:
        return None
    logger = WandbCellLogger(run, markers.renewed(run))
    logger.first_step = max(logger.first_step, run.starting_step)  # `run.step` of a continued run is 0 at first
    return logger


@contextlib.contextmanager
def cell_logger(config: dict[str, Any], stem: Path, **state: Any) -> Iterator[CellLogger | None]:
    """Start the logger that a configuration names and end it in any case, or the next cell would write into its run.

    Args:
        stem: path of the cell's record without its suffix.
        state: `resume` and `finished_at` of `weights_and_biases`.
    """
    logger = instantiate(config["logger"], _partial_=True)(folder=stem.parent, cell=stem.name, config=config, **state)
    try:
        yield logger
    finally:
        if logger is not None:
            logger.close()


def log_finished(config: dict[str, Any], stem: Path, record: Record) -> bool:
    """Log a finished cell from its record alone, unless its logger holds that record.

    Figures that were measured after the cell had finished are logged too.

    Args:
        config: names the logger.
        stem: path of the record without its suffix.

    Returns:
        False if a call of the logger failed.
    """
    later = figures_measured_later(record)
    state = record.finished_at
    if state is not None and later:
        state += f" {hashlib.sha256(json.dumps(later).encode()).hexdigest()[:16]}"
    with cell_logger(config, stem, resume=True, finished_at=state) as logger:
        if logger is not None:
            logger.log_rows(("curve", row) for row in record.curve)
            if later:  # a run that is continued accepts no step that it has passed
                logger.log_metrics(later, step=max(logger.first_step, record.trained_words or 0))
            logger.log_record(record)
            logger.state = state
    return logger is None or not logger.is_broken


def figures_measured_later(record: Record) -> dict[str, float]:
    """Return the figures of `python -m bench.diagnose` under names such as `diagnosis/lost_to_fit`."""
    measured = {"diagnosis": record.diagnosis or {}, "generation_quality": record.generation_quality or {}}
    return {name.replace(".", "/"): value for name, value in flatten(measured).items() if type(value) in (int, float)}
