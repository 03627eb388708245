"""Hydra callback of a sweep: plan the jobs, show a table per V, list jobs without a sound result, write the report.

The callback reads the results on disk and asks no process: a launcher runs jobs elsewhere, and a killed process
reports nothing.
"""

import contextlib
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from bench.core.command_line import typed_overrides
from bench.core.errors import FAILED
from bench.core.paths import check_results_folder
from bench.core.progress import TALLY, print_line
from bench.core.provenance import cells_at_once, launched_at_once, now
from bench.core.refusals import exiting_on_refusal
from bench.core.sweep_plan import PlannedJob, jobs, plan_jobs, seconds, unsound_job

WANDB = "bench.training.loggers.weights_and_biases"  # of logger=wandb


class SweepCallback(Callback):
    """Called by Hydra before it writes anything, before and after each job, and after a sweep."""

    plan: list[PlannedJob] | None = None  # None in a single run
    begin = ""  # time when the sweep began, as in records

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check the results folder, and that no setting holds a secret, before Hydra writes anything."""
        with exiting_on_refusal():  # Hydra turns an exception of a callback into a warning, and continues
            check_results_folder(config, typed_overrides(config.hydra))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Plan the jobs, so that each can report the time left."""
        self.on_run_start(config)
        try:
            with exiting_on_refusal():
                here = launched_at_once(config.hydra.launcher) is not None
                self.plan, self.begin = plan_jobs(jobs(config), here=here), now()
                TALLY.cells = [job.cell for job in self.plan]
        except Exception:  # Hydra would warn, and run jobs without a plan
            traceback.print_exc()
            sys.exit(FAILED)

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


def finish(config: DictConfig, plan: list[PlannedJob], begin: str) -> int:
    """Write the report, log it as the experiment's run, and print a line for each job without a sound result.

    Args:
        plan: the jobs of the sweep.
        begin: time when the sweep began; for jobs that run again, an older result does not count.

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
    """Log leaderboard, figures and records of a sweep as one more run, if its cells are logged to W&B."""
    if logger["_target_"] == WANDB:
        from bench.dashboard.content import contents
        from bench.dashboard.summary import log_summary

        place = {name: logger[name] for name in ("project", "mode", "entity")}
        for content in contents([folder]):
            log_summary(content, **place)
