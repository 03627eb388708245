"""Where a run is mirrored while it goes on: Weights & Biases, CSV or nowhere. Records, not these, hold the results."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import wandb
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from bench.record import Record
from bench.settings import Name

STEP_METRICS = ("words", "seconds", "flops")  # what quality is drawn against
MIRRORED = ("validation_nats", "validation_accuracy_at_1")


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings -> one level of dotted keys, as dashboards filter by."""
    rows: dict[str, Any] = {}
    for key, value in config.items():
        rows |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return rows


def none(**_: Any) -> None:
    """Mirrors nothing."""


def csv(*, folder: Path, cell: str, config: dict[str, Any]) -> Logger:
    """`metrics.csv` in `<folder>/logs/<cell>`."""
    return CSVLogger(folder / "logs", name=cell, version="")


def weights_and_biases(
    *,
    folder: Path,
    cell: str,
    config: dict[str, Any],
    project: Name,
    mode: Literal["offline", "online", "disabled"],
    entity: Name | None = None,
) -> Logger:
    """A run of its own for every cell: grouped by experiment, tagged by head, its configuration flat.

    Args:
        mode: `offline` keeps it on disk (`wandb sync` sends it later); `online` goes on offline where the service is
            out of reach.
    """
    settings = wandb.Settings(init_timeout=30, silent=True, console="off", disable_git=True)
    tags = [config["system"]["name"], config["corpus"]["name"], f"v{config['vocabulary']['size']}"]
    arguments = {
        "project": project,
        "entity": entity,
        "name": cell,
        "group": config["experiment_name"],
        "job_type": config["system"]["name"],
        "tags": tags,
        "config": flat(config),
        "dir": folder,
        "settings": settings,
    }
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run = wandb.init(mode=mode, **arguments)
    except wandb.errors.Error as error:
        print(f"logger.mode: wandb is out of reach ({type(error).__name__}); the run goes on offline")
        run = wandb.init(mode="offline", **arguments)
    for metric in STEP_METRICS:
        run.define_metric(metric, hidden=True)
    for metric in MIRRORED:
        run.define_metric(metric, step_metric="words")
    return WandbLogger(experiment=run, save_dir=folder)


@contextlib.contextmanager
def mirroring(logger: Logger | None) -> Iterator[None]:
    """Ends the mirror whatever happens, or the next cell of a sweep would write into the same W&B run."""
    exit_code = 1
    try:
        yield
        exit_code = 0
    finally:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=exit_code)
        elif logger is not None:
            logger.finalize("success" if exit_code == 0 else "failed")


def mirror(logger: Logger | None, record: Record) -> None:
    """A finished record's scalars into the summary, its texts into a table; a mirror that breaks costs no result."""
    figures = {name: value for name, value in vars(record).items() if type(value) in (int, float)}
    try:
        if isinstance(logger, WandbLogger):
            run = logger.experiment
            run.summary.update(figures)
            texts = [[row["prompt"], row["greedy"], row["sampled"]] for row in record.generations]
            run.log({"generations": wandb.Table(columns=["prompt", "greedy", "sampled"], data=texts)})
        elif logger is not None:
            logger.log_metrics(figures)
            logger.save()
    except (wandb.errors.Error, OSError) as error:
        print(f"logger: the finished record could not be mirrored ({error}); it stands in {record.experiment}")
