"""Hydra callback of a sweep: count the jobs, list those without a sound result at the end, write the report.

The callback reads the results on disk and asks no process: a launcher runs jobs elsewhere, and a killed process
reports nothing.
"""

import contextlib
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from bench.core.command_line import REFUSED, exit_with_refusal, explain_refusal
from bench.core.config_check import check_config
from bench.core.errors import FAILED
from bench.core.job import job_of
from bench.core.paths import check_results_folder, plain_config, resolved_config
from bench.core.progress import TALLY, print_line
from bench.core.provenance import now
from bench.core.stored_result import json_path


class SweepCallback(Callback):
    """Called by Hydra before it writes anything, before each job, and after a sweep."""

    total: int | None = None  # number of jobs; None in a single run
    begin = ""  # time when the sweep began, as in records

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a folder of results that leaves its place or cannot be written."""
        with exiting_on_refusal():
            check_results_folder(config, typed_overrides(config))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Count the jobs, so that each can report the time left."""
        self.on_run_start(config)
        with exiting_on_refusal():
            self.total, self.begin = len(jobs(config)), now()
            TALLY.total = self.total

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Set the tally in a launcher's process, which gets a copy of this object and has not run earlier jobs."""
        if self.total is not None and TALLY.total != self.total:
            TALLY.total, TALLY.alone = self.total, False
        if not TALLY.alone:
            TALLY.done = config.hydra.job.num

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write the report; exit with FAILED if a job has no sound result."""
        try:
            with exiting_on_refusal():
                unsound = finish(config, self.begin)
        except Exception:  # Hydra would warn, and exit with 0
            traceback.print_exc()
            sys.exit(FAILED)
        if unsound:
            sys.exit(FAILED)


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


def finish(config: DictConfig, begin: str) -> int:
    """Write the report, and print a line for each job without a sound result.

    Args:
        begin: time when the sweep began; with `force=true`, an older result does not count.

    Returns:
        The number of jobs without a sound result.
    """
    from bench.report import report

    folder = Path(config.results_dir) / config.experiment_name
    grid = jobs(config)
    unsound = [each for overrides in grid for each in unsound_job(overrides, folder, begin)]
    if any(folder.glob("*.json")):
        report([folder], folder)
    for _, line in unsound:
        print_line(f"  {line}")
    if unsound:
        kinds = Counter(status for status, _ in unsound).most_common()
        why = ", ".join(f"{count} {status}" for status, count in kinds)
        print_line(f"{len(unsound)} of {len(grid)} cells failed ({why}), see above; the same command tries them again")
    return len(unsound)


def jobs(config: DictConfig) -> list[list[str]]:
    """Return the overrides of each job that Hydra's sweeper makes of the experiment's and the command line's axes."""
    axes = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*axes, *typed_overrides(config)])
    last = {override.get_key_element(): override for override in overrides}
    [batch] = BasicSweeper.split_arguments(list(last.values()), max_batch_size=None)
    return batch


def unsound_job(overrides: list[str], folder: Path, begin: str) -> Iterator[tuple[str, str]]:
    """Yield status and one line for a job without a sound result: its name, the reason, where to read more."""
    try:
        cfg = compose("config", overrides)
        check_config(plain_config(cfg))
        config = resolved_config(cfg)
        work = job_of(config)
        stem = work.record_stem(config)
        path = json_path(stem)
        result = work.read(path) if path.is_file() else None
    except REFUSED as error:
        yield "failed", f"{' '.join(overrides)}: {explain_refusal(error, overrides)}"
        return
    if result is None or (cfg.force and result.finished_at < begin):
        yield "killed", f"{stem.name}: no record, its process was killed (logs: {folder / 'hydra'})"
    elif result.status != "ok":
        where = "" if "(trace: " in result.reason else f" (record: {path})"
        yield result.status, f"{stem.name}: {result.status}: {result.reason}{where}"
