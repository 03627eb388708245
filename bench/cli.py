"""The command `python -m bench`: Hydra composes a configuration, and the configuration's job runs."""

import contextlib
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from bench.core import progress
from bench.core.command_line import (
    check_groups,
    check_launcher,
    check_options,
    check_text,
    quote_pattern,
    typed_overrides,
)
from bench.core.config_check import check_config
from bench.core.cpu_threads import limit_threads
from bench.core.environment import config_dir, silence_libraries, substitute_unprintable
from bench.core.errors import BAD_INPUT, FAILED, SettingError
from bench.core.help_page import help_page
from bench.core.process_memory import keep_freed_memory, limit_memory
from bench.core.refusals import REFUSED, exit_with_refusal, explain_refusal
from bench.core.signals import STOP, STOPPED, Stopped, interrupting
from bench.core.source_hash import KEPT, RERUN
from bench.cost.system_argument import as_contenders


@hydra.main(config_path=config_dir(), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """Run one job; in a sweep, a bad setting fails its job alone. A signal ends the process with STOPPED."""
    try:
        with STOP.catching():
            status = run_job(cfg, single=HydraConfig.get().mode == RunMode.RUN)
    except SystemExit as refused:
        status = refused.code
    except Stopped as stopped:
        print(f"stopped by {stopped}; the same command continues from here", file=sys.stderr)
        status = STOPPED
    if status == BAD_INPUT:
        delete_log(cfg)
    if status:
        sys.exit(status)


def delete_log(cfg: DictConfig) -> None:
    """Delete the folder of Hydra's log, and the folders above it if they are empty; a folder that the user chose stays.

    Hydra makes the folder before the job can refuse its settings.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    experiment = Path(cfg.results_dir, cfg.experiment_name)
    if folder.parent.resolve() == (experiment / "hydra").resolve():
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # other runs have files there
            folder.parent.rmdir()
            experiment.rmdir()


def run_job(cfg: DictConfig, *, single: bool) -> int:
    """Run one job unless its result exists, and report its end.

    Args:
        single: the process has this job alone; in a sweep, the exit status is always 0.

    Returns:
        The exit status.
    """
    from bench.core.job import job_of
    from bench.core.paths import weights_path
    from bench.core.stored_result import json_path

    begin = time.perf_counter()
    config = checked_config(cfg, single=single)
    if config is None:
        return 0
    import torch  # after the check: a refusal of settings does not wait for torch

    limit_threads()
    keep_freed_memory()
    if not torch.cuda.is_available():  # CUDA maps host memory that it never fills
        limit_memory()
    work = job_of(config)
    silence_libraries()  # after the imports: importing Lightning sets the level of its loggers
    stem = work.record_stem(config)
    path = json_path(stem)
    try:
        kept = not cfg.force and work.finished(path)
        if kept and (reason := work.outdated(config, path)):
            kept = cfg.stale == "keep"
            progress.print_line(f"{stem.name}: {reason}; {KEPT if kept else RERUN}")
        if kept:
            progress.report_cell_end(stem.name, f"skipped: result exists ({path}); force=true runs it again", None)
            result = work.result.read(path)
            work.log(config, stem, result)
            if single:
                show_result(path, weights_path(config), work.summary(result))
            return 0
        result = work.run(cfg)
    except SettingError as error:
        if single:
            print(error, file=sys.stderr)
            return BAD_INPUT
        result = work.failed(config, error)
    ok = result.status == "ok"
    outcome = work.headline(result) if ok else f"{result.status}: {result.reason}"
    progress.report_cell_end(stem.name, outcome, time.perf_counter() - begin)
    if single and ok:
        show_result(path, weights_path(config), work.summary(result))
    return FAILED if single and not ok else 0


def show_result(path: Path, weights: Path, summary: dict[str, str]) -> None:
    """Print the main figures of a result as a table of one row, where its files are, and how to make its report."""
    widths = [max(len(heading), len(text)) for heading, text in summary.items()]
    for cells in (summary, summary.values()) if summary else ():
        print("   ".join(text.rjust(width) for text, width in zip(cells, widths, strict=True)).rstrip())
    for name, file in (("result", path), ("values per word", path.with_suffix(".npz")), ("weights", weights)):
        if file.exists():
            print(f"{name}: {file}")
    print(f"tables and figures: python -m bench.report {shlex.quote(str(path.parent))}")


def checked_config(cfg: DictConfig, *, single: bool) -> dict[str, Any] | None:
    """Return the checked configuration as plain data; None if a sweep's job has a bad setting, which is reported."""
    from bench.core.job import job_of
    from bench.core.paths import plain_config, resolved_config

    config: dict[str, Any] = {}
    try:
        config = plain_config(cfg)
        check_config(config)
        return resolved_config(cfg)
    except REFUSED as error:
        if single:
            exit_with_refusal(error)
        context = HydraConfig.get()
        refused = explain_refusal(error, typed_overrides(context))
        with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):  # settings that name no result
            job_of(config).failed(config, refused)
        progress.report_cell_end(context.job.override_dirname, f"failed: {refused}", 0.0)
        return None


def main() -> None:
    """Hand over to Hydra, and put its refusals into one line; an error in this program keeps its traceback."""
    substitute_unprintable()
    if {"-h", "--help"}.intersection(sys.argv[1:]):
        print(help_page(), end="")
        return
    if "HYDRA_FULL_ERROR" in os.environ:  # the user asks for Hydra's own messages
        job()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # without the variable, Hydra prints its errors itself and exits
    try:
        check_text(sys.argv[1:])
        check_options(sys.argv[1:])
        check_groups(sys.argv[1:])
        check_launcher(sys.argv[1:])
        sys.argv[1:] = as_contenders(quote_pattern(sys.argv[1:]))
        with interrupting():
            job()
    except REFUSED as error:
        exit_with_refusal(error)
    except KeyboardInterrupt as stopped:  # outside the jobs, whose handler takes signals
        print(f"stopped by {str(stopped) or 'SIGINT'}; the same command continues from here", file=sys.stderr)
        sys.exit(STOPPED)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
