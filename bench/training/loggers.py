"""Where a run is mirrored while it goes on: Weights & Biases, CSV or nowhere. Records, not these, hold the results.

So a mirror may be out of reach, break or hang: it says so in one line, and the run goes on without it.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import wandb
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from bench.core.dotted import flatten
from bench.core.record import Record
from bench.core.settings import Name

STEP_METRICS = ("words", "seconds", "flops")  # what quality is drawn against

MIRRORED = ("validation_nats", "validation_accuracy_at_1")

REACH_SECONDS, FINISH_SECONDS = 30, 60  # the longest that W&B may keep a run from starting and from ending

LONGEST_TAG = 64  # characters; W&B takes no more

LOST: set[str] = set()  # modes that have failed in this process: the next cells of a sweep do not wait for them again


class Mirror(Logger):
    """A Lightning logger whose failures are told once and cost nothing else."""

    def __init__(self, logger: Logger):
        super().__init__()
        self.logger, self.broken = logger, False

    @property
    def name(self) -> str | None:
        return self.logger.name

    @property
    def version(self) -> int | str | None:
        return self.logger.version

    @property
    def save_dir(self) -> str | None:
        return self.logger.save_dir

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: the settings are there already."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.attempt(lambda: self.logger.log_metrics(metrics, step))

    def save(self) -> None:
        self.attempt(self.logger.save)

    def keep(self, record: Record) -> None:
        """The figures of a finished record."""
        self.logger.log_metrics(figures(record))
        self.logger.save()

    def end(self, exit_code: int) -> None:
        self.logger.finalize("failed" if exit_code else "success")

    def attempt(self, call: Callable[[], object]) -> None:
        """Call it, unless an earlier one has failed."""
        if not self.broken and (problem := bounded(call)):
            self.broken = True
            print(f"logger: the mirror is broken ({problem}); the run goes on, and its record will hold all figures")
            bounded(self.abandon)

    def abandon(self) -> None:
        """Nothing is left to end."""


class WandbMirror(Mirror):
    """A W&B run of its own, summary and texts included."""

    @property
    def experiment(self) -> Any:
        return self.logger.experiment

    def keep(self, record: Record) -> None:
        """Scalars into the summary, texts into a table."""
        self.experiment.summary.update(figures(record))
        texts = [[row["prompt"], row["greedy"], row["sampled"]] for row in record.generations]
        self.experiment.log({"generations": wandb.Table(columns=["prompt", "greedy", "sampled"], data=texts)})

    def end(self, exit_code: int) -> None:
        self.experiment.finish(exit_code=exit_code)

    def abandon(self) -> None:
        """The service of a next cell is then another."""
        wandb.teardown()


def bounded(call: Callable[[], object], seconds: float = FINISH_SECONDS) -> str | None:
    """What went wrong with a call, in a few words; one that hangs is left behind after so many seconds."""
    problems: list[str] = []

    def caught() -> None:
        try:
            call()
        except Exception as error:  # many libraries' types, one meaning
            problems.append(type(error).__name__)

    thread = threading.Thread(target=caught, daemon=True)
    thread.start()
    thread.join(seconds)
    return f"no answer in {seconds:g} s" if thread.is_alive() else next(iter(problems), None)


def figures(record: Record) -> dict[str, float]:
    """A record's numbers; what is true or false nobody plots."""
    return {name: value for name, value in vars(record).items() if type(value) in (int, float)}


def none(**_: Any) -> None:
    """Mirrors nothing."""


def csv(*, folder: Path, cell: str, config: dict[str, Any]) -> Logger:
    """`metrics.csv` in `<folder>/logs/<cell>`."""
    return Mirror(CSVLogger(folder / "logs", name=cell, version=""))


def weights_and_biases(
    *,
    folder: Path,
    cell: str,
    config: dict[str, Any],
    project: Name,
    mode: Literal["offline", "online", "disabled"],
    entity: Name | None = None,
) -> Logger | None:
    """A run of its own for every cell: grouped by experiment, tagged by head, its configuration flat.

    Args:
        mode: `offline` keeps it on disk (`wandb sync` sends it later); `online` goes on offline where there is no key
            or the service is out of reach.
    """
    settings = wandb.Settings(
        init_timeout=REACH_SECONDS,
        finish_timeout=FINISH_SECONDS / 2,
        silent=True,
        console="off",
        disable_git=True,
        x_save_requirements=False,
    )
    tags = [config["system"]["name"], config["corpus"]["name"], f"v{config['vocabulary']['size']}"]
    arguments = {
        "project": project,
        "entity": entity,
        "name": cell,
        "group": config["experiment_name"],
        "job_type": config["system"]["name"],
        "tags": [str(tag)[:LONGEST_TAG] for tag in tags],
        "config": flatten(config),
        "dir": folder,
        "settings": settings,
    }
    run = begun(mode, arguments)
    if run is None:
        return None
    os.environ["WANDB_DATA_DIR"] = str(Path(run.dir).resolve().parent)  # else what a later sync needs lies elsewhere
    for metric in STEP_METRICS:
        run.define_metric(metric, hidden=True)
    for metric in MIRRORED:
        run.define_metric(metric, step_metric="words")
    return WandbMirror(WandbLogger(experiment=run, save_dir=folder))


def begun(mode: str, arguments: dict[str, Any]) -> Any:
    """A W&B run in this mode, else offline, else None."""
    for attempt in dict.fromkeys(("offline" if mode in LOST else mode, "offline")):
        try:
            if attempt == "online" and not wandb.login(prompt=False):  # a prompt would wait for ever
                raise wandb.errors.UsageError("no API key")
            arguments["dir"].mkdir(parents=True, exist_ok=True)
            return wandb.init(mode=attempt, **arguments)
        except Exception as error:  # whatever it is, it is no reason not to train
            LOST.add(attempt)
            text = next(iter(str(error).splitlines()), "")
            then = "offline" if attempt != "offline" else "without a mirror; its record will hold all figures"
            print(f"logger.mode: wandb cannot run {attempt} ({type(error).__name__}: {text}); the run goes on {then}")
    return None


@contextlib.contextmanager
def mirroring(logger: Mirror | None) -> Iterator[None]:
    """Ends the mirror whatever happens, or the next cell of a sweep would write into the same W&B run."""
    exit_code = 1
    try:
        yield
        exit_code = 0
    finally:
        if logger is not None:
            logger.attempt(lambda: logger.end(exit_code))


def mirror(logger: Mirror | None, record: Record) -> None:
    """A finished record's figures; a mirror that breaks costs no result."""
    if logger is not None:
        logger.attempt(lambda: logger.keep(record))
