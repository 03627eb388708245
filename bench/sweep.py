"""Hydra callback of a sweep: plan the jobs, show a table per V, list jobs without a sound result, write the report.

The callback reads the results on disk and asks no process: a launcher runs jobs elsewhere, and a killed process
reports nothing.
"""

import contextlib
import datetime
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from bench.core.command_line import REFUSED, exit_with_refusal, explain_refusal
from bench.core.config_check import check_config
from bench.core.errors import FAILED, SettingError
from bench.core.job import Job, job_of
from bench.core.paths import check_results_folder, plain_config, resolved_config, weights_path
from bench.core.progress import TALLY, PlannedCell, print_line
from bench.core.provenance import cells_at_once, now
from bench.core.stored_result import json_path

WANDB = "bench.training.loggers.weights_and_biases"  # of logger=wandb


class PlannedJob(NamedTuple):
    """One job of a sweep as planned before the first job runs."""

    overrides: list[str]
    refusal: str | None = None  # reason why the settings cannot work; then nothing below is known
    cell: PlannedCell = PlannedCell("", 0, pending=False)
    work: Job[Any] | None = None
    stem: Path = Path()  # of the result
    weights: Path = Path()  # that a cell keeps
    runs_again: bool = False  # an older result does not count


class SweepCallback(Callback):
    """Called by Hydra before it writes anything, before and after each job, and after a sweep."""

    plan: list[PlannedJob] | None = None  # None in a single run
    begin = ""  # time when the sweep began, as in records

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a folder of results that leaves its place or cannot be written."""
        with exiting_on_refusal():
            check_results_folder(config, typed_overrides(config))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Plan the jobs, so that each can report the time left."""
        self.on_run_start(config)
        with exiting_on_refusal():
            self.plan, self.begin = plan_jobs(jobs(config)), now()
            TALLY.cells = [job.cell for job in self.plan]

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Set the tally in a launcher's process, which gets a copy of this object and has not run earlier jobs."""
        if self.plan is not None and TALLY.total != len(self.plan):
            TALLY.cells = [job.cell for job in self.plan]
            TALLY.alone, TALLY.began, TALLY.processes = False, seconds(self.begin), cells_at_once()
        if not TALLY.alone:
            TALLY.done = config.hydra.job.num

    def on_job_end(self, config: DictConfig, **_: Any) -> None:
        """Show the table of a V after its last cell, except the last V: the report follows at once.

        A job on a cluster shows none: its output is a file of its own.
        """
        if self.plan is None or TALLY.processes is None:
            return
        size = self.plan[config.hydra.job.num].cell.size
        if size == self.plan[-1].cell.size:
            return
        cells = [job.cell for job in self.plan if job.cell.size == size and job.cell.pending]
        if not cells or not all(cell.has_ended(seconds(self.begin)) for cell in cells):
            return
        shown = Path(config.hydra.sweep.dir) / f"table-{size}"
        with contextlib.suppress(FileExistsError):  # two processes may end the last two cells at the same time
            shown.touch(exist_ok=False)
            from bench.report import show_size

            show_size(Path(config.results_dir) / config.experiment_name, size)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write the report; exit with FAILED if a job has no sound result."""
        try:
            with exiting_on_refusal():
                unsound = finish(config, self.plan, self.begin)
        except Exception:  # Hydra would warn, and exit with 0
            traceback.print_exc()
            sys.exit(FAILED)
        if unsound:
            sys.exit(FAILED)


def seconds(time: str) -> float:
    """Return a time as in records in seconds."""
    return datetime.datetime.fromisoformat(time).timestamp()


@contextlib.contextmanager
def exiting_on_refusal() -> Iterator[None]:
    """Exit with one line on bad input; Hydra turns an exception of a callback into a warning and continues."""
    try:
        yield
    except REFUSED as error:
        exit_with_refusal(error)


def typed_overrides(config: DictConfig) -> list[str]:
    """Return the overrides of the command line as typed, with interpolations unresolved."""
    return OmegaConf.to_container(config.hydra.overrides.task, resolve=False)


def finish(config: DictConfig, plan: list[PlannedJob], begin: str) -> int:
    """Write the report, log it as the experiment's run, and print a line for each job without a sound result.

    Args:
        plan: the jobs of the sweep.
        begin: time when the sweep began; of jobs that run again, an older result does not count.

    Returns:
        The number of jobs without a sound result.
    """
    from bench.report import report

    folder = Path(config.results_dir) / config.experiment_name
    unsound = [each for job in plan for each in unsound_job(job, folder, begin)]
    if any(folder.glob("*.json")):
        report([folder], folder)
        log_report(OmegaConf.to_container(config.logger, resolve=True), folder)
    for _, line in unsound:
        print_line(f"  {line}")
    if unsound:
        kinds = Counter(status for status, _ in unsound).most_common()
        why = ", ".join(f"{count} {status}" for status, count in kinds)
        print_line(f"{len(unsound)} of {len(plan)} cells failed ({why}), see above; the same command tries them again")
    return len(unsound)


def log_report(logger: dict[str, Any], folder: Path) -> None:
    """Log leaderboard, figures and records of a sweep as one run more, if its cells are logged to W&B."""
    if logger["_target_"] == WANDB:
        from bench.dashboard.content import contents
        from bench.dashboard.summary import log_summary

        place = {name: logger[name] for name in ("project", "mode", "entity")}
        for content in contents([folder]):
            log_summary(content, **place)


def jobs(config: DictConfig) -> list[list[str]]:
    """Return the overrides of each job that Hydra's sweeper makes of the experiment's and the command line's axes."""
    axes = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*axes, *typed_overrides(config)])
    last = {override.get_key_element(): override for override in overrides}
    [batch] = BasicSweeper.split_arguments(list(last.values()), max_batch_size=None)
    return batch


def plan_jobs(grid: list[list[str]]) -> list[PlannedJob]:
    """Plan the jobs of a sweep; a cell whose weights an earlier cell keeps does not train."""
    plan, kept = [], set()
    for overrides in grid:
        job = planned(overrides)
        plan.append(job._replace(cell=job.cell._replace(words=0)) if job.weights in kept else job)
        kept.add(job.weights)
    return plan


def planned(overrides: list[str]) -> PlannedJob:
    """Compose a job's configuration and look for its result."""
    try:
        cfg = compose("config", overrides)
        check_config(plain_config(cfg))
        config = resolved_config(cfg)
        work = job_of(config)
        stem = work.record_stem(config)
    except REFUSED as error:
        return PlannedJob(overrides, str(explain_refusal(error, overrides)))
    kept, runs_again = False, cfg.force
    with contextlib.suppress(SettingError):  # a damaged result: the job reports it
        path = json_path(stem)
        is_finished = work.finished(path)
        runs_again |= is_finished and cfg.stale == "rerun" and work.made_by_other_code(config, path)
        kept = is_finished and not runs_again
    weights = weights_path(config)
    cell = PlannedCell(
        config["system"]["name"],
        config["vocabulary"]["size"] or 0,  # null is every type, which are not counted yet
        pending=not kept,
        result=json_path(stem),
    )
    if weights.is_file() and not cfg.force:
        cell = cell._replace(words=0)
    elif config["budget"]["words"]:  # with a budget of seconds alone, all cells train equally long
        cell = cell._replace(words=config["budget"]["words"])
    return PlannedJob(overrides, None, cell, work, stem, weights, runs_again)


def unsound_job(job: PlannedJob, folder: Path, begin: str) -> Iterator[tuple[str, str]]:
    """Yield status and one line for a job without a sound result: its name, the reason, where to read more."""
    if job.refusal is not None:
        yield "failed", f"{' '.join(job.overrides)}: {job.refusal}"
        return
    path = json_path(job.stem)
    try:
        result = job.work.read(path) if path.is_file() else None
    except REFUSED as error:
        yield "failed", f"{' '.join(job.overrides)}: {explain_refusal(error, job.overrides)}"
        return
    logs = folder / "hydra"
    if result is None:
        yield "killed", f"{job.stem.name}: no record, its process was killed (logs: {logs})"
    elif job.runs_again and result.finished_at < begin:
        trace = folder / "logs" / f"{job.stem.name}.txt"
        if trace.is_file() and trace.stat().st_mtime >= seconds(begin):
            yield "failed", f"{job.stem.name}: failed, the older record is kept (trace: {trace})"
        else:
            why = "its process was killed or its settings were refused"
            yield "killed", f"{job.stem.name}: no new record, {why}; the older one is kept (logs: {logs})"
    elif result.status != "ok":
        where = "" if "(trace: " in result.reason else f" (record: {path})"
        yield result.status, f"{job.stem.name}: {result.status}: {result.reason}{where}"
