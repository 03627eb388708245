"""Runs of Weights & Biases: one per cell, under an id that follows from the cell's identity."""

import hashlib
import os
from pathlib import Path
from typing import Any

import wandb

from bench.core.dotted import flatten
from bench.core.paths import system_of_cell
from bench.core.record import Record
from bench.training.cell_logger import FINISH_SECONDS, STEP_METRICS, CellLogger, is_logged, summary_of

REACH_SECONDS = 30  # limit on the time that W&B takes to start a run

LONGEST_TAG = 64  # characters; W&B refuses longer tags

SETTINGS = {
    "init_timeout": REACH_SECONDS,
    "finish_timeout": FINISH_SECONDS / 2,
    "finish_timeout_raises": True,  # else a run whose data were not sent looks complete
    "silent": True,
    "console": "off",
    "disable_git": True,
    "x_save_requirements": False,
}

FAILED_MODES: set[str] = set()  # W&B modes that failed in this process; the next cells of a sweep skip these modes


class Markers:
    """Files that say which state of a record or an experiment a run holds, one for each mode and project of W&B.

    A run that was kept offline may never have been sent, so its marker does not stand for an online run.
    """

    def __init__(self, folder: Path, identity: str, project: str, entity: str | None):
        modes = ("online", "offline", "disabled")
        where = hashlib.sha256(f"{entity or ''}/{project}".encode()).hexdigest()[:8]
        self.paths = {mode: folder / "wandb" / f"logged-{identity}-{where}-{mode}" for mode in modes}

    def hold(self, state: str | None, mode: str) -> bool:
        """True if a run in this mode, or an online run, holds the state; False for a cell that has not finished.

        Where the mode has failed in this process, a run kept offline is enough: it would be written again.
        """
        enough = ("online", "offline") if possible(mode) == "offline" else ("online",)
        return any(is_logged(self.paths[each], state) for each in enough)

    def renewed(self, run: Any) -> Path:
        """Remove the markers of earlier runs; return the path of the marker for the mode that a new run has."""
        for path in self.paths.values():
            path.unlink(missing_ok=True)
        return self.paths["disabled" if run.disabled else "offline" if run.offline else "online"]


class WandbCellLogger(CellLogger):
    """Run of Weights & Biases; the step of a row is its number of words."""

    def __init__(self, run: Any, marker: Path):
        super().__init__(marker)
        self.run, self.first_step = run, run.step

    def write_row(self, metrics: dict[str, Any], step: int) -> None:
        self.run.log(metrics, step=step)

    def write_record(self, record: Record) -> None:
        """Write numbers, status and origin into the summary, and generations into a table."""
        self.run.summary.update(summary_of(record))
        texts = [[row["prompt"], row["greedy"], row["sampled"]] for row in record.generations]
        if texts:
            self.run.log({"generations": wandb.Table(columns=["prompt", "greedy", "sampled"], data=texts)})

    def end(self) -> None:
        self.run.finish(exit_code=self.exit_code)

    def abandon(self) -> None:
        """End W&B's service process, so that the next cell starts another."""
        wandb.teardown()


def run_id(config: dict[str, Any], cell: str) -> str:
    """Return the id of a cell's run: a hash of experiment and cell, the same after a resume."""
    return hashlib.sha256(f"{config['experiment_name']}/{cell}".encode()).hexdigest()[:16]


def start_run(folder: Path, cell: str, config: dict[str, Any], mode: str, place: dict[str, Any]) -> Any:
    """Start a cell's run in this mode, else offline; None if neither works.

    Args:
        place: `project`, `entity` and `resume` of `wandb.init`.
    """
    system = system_of_cell(config)
    tags = [system, config["corpus"]["name"], f"v{config['vocabulary']['size'] or 'all'}"]
    if targets := config["system"].get("head", {}).get("targets"):
        tags += [str(targets[name]) for name in ("name", "level") if name in targets]
    arguments = {
        "id": run_id(config, cell),
        "name": cell,
        "group": config["experiment_name"],
        "job_type": system,
        "tags": tags,
        "config": flatten(config),
        "dir": folder,
    }
    run = init(mode, arguments | place)
    if run is not None:
        for metric in STEP_METRICS:
            run.define_metric(metric, hidden=True)
        for kind in ("curve", "training"):
            run.define_metric(f"{kind}/*", step_metric="words")
    return run


def possible(mode: str) -> str:
    """Return the mode, or offline if the mode has failed in this process."""
    return "offline" if mode in FAILED_MODES else mode


def init(mode: str, arguments: dict[str, Any]) -> Any:
    """Call `wandb.init` in this mode, else offline, with the settings of all runs; None if neither works."""
    arguments = arguments | {
        "tags": [str(tag)[:LONGEST_TAG] for tag in arguments["tags"]],
        "settings": wandb.Settings(**SETTINGS),
    }
    for attempt in dict.fromkeys((possible(mode), "offline")):
        try:
            if attempt == "online" and not wandb.login(prompt=False):  # a prompt would wait for ever
                raise wandb.errors.UsageError("no API key")
            arguments["dir"].mkdir(parents=True, exist_ok=True)
            run = wandb.init(mode=attempt, **arguments)
        except Exception as error:  # no error of W&B is a reason not to train
            FAILED_MODES.add(attempt)
            text = next(iter(str(error).splitlines()), "")
            then = "offline" if attempt != "offline" else "without a logger; its record will hold all figures"
            print(f"logger.mode: wandb cannot run {attempt} ({type(error).__name__}: {text}); the run continues {then}")
        else:
            os.environ["WANDB_DATA_DIR"] = str(Path(run.dir).resolve().parent)  # `wandb sync` finds staged files there
            return run
    return None
