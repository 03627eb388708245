"""The Hydra entry: one configuration -> one Record."""

import contextlib
import os
import sys
import time
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from bench.core import memory_limit, progress
from bench.core.command_line import (
    REFUSED,
    check_groups,
    check_launcher,
    check_text,
    exit_with_refusal,
    explain_refusal,
)
from bench.core.cpu_threads import limit_threads
from bench.core.environment import config_dir, silence_libraries
from bench.core.errors import BAD_INPUT, FAILED, SettingError
from bench.core.settings import check_config
from bench.core.signals import STOP, STOPPED, Stopped


@hydra.main(config_path=config_dir(), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One cell; in a sweep, a bad setting fails its cell and the sweep goes on. A signal ends it with STOPPED."""
    try:
        with STOP.heeded():
            status = cell(cfg, single=HydraConfig.get().mode == RunMode.RUN)
    except Stopped as stopped:
        print(f"stopped by {stopped}; the same command goes on from here", file=sys.stderr)
        status = STOPPED
    if status:
        sys.exit(status)


def cell(cfg: DictConfig, *, single: bool) -> int:
    """Run one, unless its record stands, and say how it ended; the exit status, 0 in a sweep."""
    import torch

    limit_threads()
    if not torch.cuda.is_available():  # CUDA maps host memory that it never fills
        memory_limit.limit_memory()
    begin = time.perf_counter()
    config = settled(cfg, single=single)
    if config is None:
        return 0
    work = get_object(cfg.job)  # heavy imports wait until Hydra has answered --help
    silence_libraries()  # after them: Lightning's turns its own news on
    stem = work.record_stem(config)
    name, path = stem.name, stem.with_name(f"{stem.name}.json")
    try:
        if not cfg.force and work.finished(path):
            progress.report_cell_end(name, f"stands in {path}; force=true runs it again", None)
            from bench.training.loggers import log_finished

            log_finished(config, stem, work.read_record(path))
            return 0
        record = work.run(cfg)
    except SettingError as error:
        if single:
            print(error, file=sys.stderr)
            return BAD_INPUT
        record = work.failed(config, error)
    ok = record.status == "ok"
    outcome = work.headline(record) if ok else f"{record.status}: {record.reason}"
    progress.report_cell_end(name, outcome, time.perf_counter() - begin)
    return FAILED if single and not ok else 0


def settled(cfg: DictConfig, *, single: bool) -> dict[str, Any] | None:
    """The configuration as plain data, checked; None for a cell of a sweep that cannot be: it counts as failed."""
    from bench.core.paths import plain_config, resolved_config

    config: dict[str, Any] = {}
    try:
        config = plain_config(cfg)
        check_config(config)
        return resolved_config(cfg)
    except REFUSED as error:
        if single:
            exit_with_refusal(error)
        job = HydraConfig.get()
        refused = explain_refusal(error, OmegaConf.to_container(job.overrides.task, resolve=False))
        with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):  # not even a name for a record
            get_object(cfg.job).failed(config, refused)
        progress.report_cell_end(job.job.override_dirname, f"failed: {refused}", 0.0)
        return None


def main() -> None:
    """Hand over to Hydra, and say in one line what it refuses at length; a bug of ours keeps its traceback."""
    if "HYDRA_FULL_ERROR" in os.environ:  # somebody wants to see it all
        job()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints its errors itself, and exits
    try:
        check_text(sys.argv[1:])
        check_groups(sys.argv[1:])
        check_launcher(sys.argv[1:])
        job()
    except REFUSED as error:
        exit_with_refusal(error)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
