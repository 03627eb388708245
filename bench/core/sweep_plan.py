"""Plan of a sweep: its jobs before the first one runs, and which of them have no sound result afterwards."""

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from bench.core.command_line import typed_overrides
from bench.core.config_check import check_config, check_folder
from bench.core.errors import SettingError
from bench.core.job import Job, job_of
from bench.core.paths import plain_config, resolved_config, weights_path
from bench.core.progress import PlannedCell
from bench.core.refusals import REFUSED, explain_refusal
from bench.core.stored_result import json_path, trace_path


class PlannedJob(NamedTuple):
    """One job of a sweep as planned before the first job runs."""

    overrides: list[str]
    refusal: str | None = None  # reason why the settings cannot work; then nothing below is known
    cell: PlannedCell = PlannedCell("", 0, pending=False)
    work: Job[Any] | None = None
    stem: Path = Path()  # of the result
    weights: Path = Path()  # that a cell keeps
    runs_again: bool = False  # an older result does not count


def jobs(config: DictConfig) -> list[list[str]]:
    """Return the overrides of each job that Hydra's sweeper makes of the experiment's and the command line's axes.

    Raises:
        SettingError: an axis is a pattern that matches no choice, so that there are no jobs.
    """
    axes = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*axes, *typed_overrides(config.hydra)])
    last = {override.get_key_element(): override for override in overrides}
    for key, override in last.items():
        if override.is_sweep_override() and not [*override.sweep_string_iterator()]:
            pattern = override.input_line.partition("=")[2]
            raise SettingError(key, f"{pattern} matches no choice; `python -m bench --help` lists the choices")
    [batch] = BasicSweeper.split_arguments(list(last.values()), max_batch_size=None)
    return batch


def plan_jobs(grid: list[list[str]], *, here: bool = True) -> list[PlannedJob]:
    """Plan the jobs of a sweep; a cell whose weights an earlier cell keeps does not train.

    Args:
        here: False if the jobs may run on other machines, whose devices are not known.
    """
    plan, kept = [], set()
    for overrides in grid:
        job = planned(overrides, here=here)
        plan.append(job._replace(cell=job.cell._replace(words=0)) if job.weights in kept else job)
        kept.add(job.weights)
    return plan


def planned(overrides: list[str], *, here: bool = True) -> PlannedJob:
    """Compose a job's configuration and look for its result.

    Raises:
        SettingError: the experiment's name leaves the folder of results, into which Hydra writes before the job begins.
    """
    try:
        cfg = compose("config", overrides)
        experiment_name = cfg.experiment_name
    except REFUSED as error:
        return PlannedJob(overrides, str(explain_refusal(error, overrides)))
    check_folder(experiment_name)
    try:
        check_config(plain_config(cfg), here=here)
        config = resolved_config(cfg)
        work = job_of(config)
        stem = work.record_stem(config)
    except REFUSED as error:
        return PlannedJob(overrides, str(explain_refusal(error, overrides)))
    kept, runs_again = False, cfg.force
    with contextlib.suppress(SettingError):  # a damaged result: the job reports it
        path = json_path(stem)
        is_finished = work.finished(path)
        runs_again |= is_finished and cfg.stale == "rerun" and bool(work.outdated(config, path))
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
        result = job.work.result.read(path) if path.is_file() else None
    except REFUSED as error:
        yield "failed", f"{' '.join(job.overrides)}: {explain_refusal(error, job.overrides)}"
        return
    logs = folder / "hydra"
    if result is None:
        yield "killed", f"{job.stem.name}: no record, its process was killed (logs: {logs})"
    elif job.runs_again and result.finished_at < begin:
        trace = trace_path(job.stem)
        if trace.is_file() and trace.stat().st_mtime >= seconds(begin):
            yield "failed", f"{job.stem.name}: failed, the older record is kept (trace: {trace})"
        else:
            why = "its process was killed or its settings were refused"
            yield "killed", f"{job.stem.name}: no new record, {why}; the older one is kept (logs: {logs})"
    elif result.status != "ok":
        where = "" if "(trace: " in result.reason else f" (record: {path})"
        yield result.status, f"{job.stem.name}: {result.status}: {result.reason}{where}"


def seconds(time: str) -> float:
    """Return a record's time (ISO 8601) in seconds since 1970."""
    return datetime.datetime.fromisoformat(time).timestamp()
