"""Reference run on a GPU: `python -m bench +experiment=gpu_reference` runs its steps in order within a time limit.

Each step is a command in a process of its own, which writes its records or ledgers as its cells end. A step that is
stopped leaves them, and the same command continues from there.
"""

import dataclasses
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from bench.core.command_line import typed_overrides
from bench.core.errors import SettingError
from bench.core.job import Job
from bench.core.known_settings import unknown_choice
from bench.core.paths import plain_config
from bench.core.progress import print_line
from bench.core.refusals import in_quotes, key_of
from bench.core.settings import Group, Name, Seconds, Settings
from bench.core.signals import STOPPED
from bench.cost.ledger import ledger_header, ledger_stem
from bench.cost.schema import StepLedger, StepRow

START_SECONDS = 15  # of a step, for imports and the device; a step with less time left is not started

GRACE_SECONDS = 15  # between the signal that asks a step to stop and the signal that kills it

REPORT_SECONDS = 20  # kept at the end for the report


COMMAND = [sys.executable, "-m", "bench"]


class Step(Group):
    """One command of the plan."""

    experiment: Name  # a file of conf/experiment
    seconds: Seconds  # estimate on one GPU, at scale 1
    overrides: list[str]
    needs: str | None = None  # a setting without which the step is left out
    takes: list[str] = pydantic.Field(default_factory=list)  # groups of settings that are passed on as typed


class GpuReferenceSettings(Settings):
    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]
    scale: Annotated[float, pydantic.Field(gt=0, le=1)]
    limit_seconds: Annotated[float, pydantic.Field(ge=60, le=1e6)]
    only: list[str] | None
    steps: dict[str, Step]


# groups of settings that this job reads itself
OWN = {"experiment", "experiment_name", "results_dir", "cache_dir", "force", "trainer", "logger", "hydra"}
OWN |= GpuReferenceSettings.model_fields.keys() - Settings.model_fields.keys()


class GpuReference(Job[StepLedger]):
    """Run the steps that the configuration lists; the ledger says how each ended."""

    settings = GpuReferenceSettings
    result = StepLedger

    def record_stem(self, config: dict[str, Any]) -> Path:
        return ledger_stem(config, StepLedger.prefix, {"steps": config["steps"]})

    def finished(self, path: Path) -> bool:
        """Return False: each step skips the cells that it has finished."""
        return False

    def run(self, cfg: DictConfig) -> StepLedger:
        config, begin = plain_config(cfg), time.monotonic()
        if config["device"] == "cuda" and not torch.cuda.is_available():
            problem = "torch finds no CUDA device here; rehearse by device=cpu trainer=cpu precision=fp32 scale=0.001"
            raise SettingError("device", problem)
        typed = typed_overrides(HydraConfig.get()) if HydraConfig.initialized() else []
        stem, rows = self.record_stem(config), planned_rows(config, typed)
        print_plan(config, rows)
        for number, row in enumerate(rows):
            if row.status == "missing":
                continue
            later = sum(each.estimate_seconds for each in rows[number + 1 :] if each.status != "missing")
            left = config["limit_seconds"] - (time.monotonic() - begin) - GRACE_SECONDS - REPORT_SECONDS
            rows[number] = run_step(row, min(left, max(row.estimate_seconds, left - later)))
            make_ledger(config, rows).write(stem)  # after each step: a kill loses the current step at most
            print_line(f"{row.contender}: {outcome(rows[number])}")
        seconds = max(1.0, config["limit_seconds"] - (time.monotonic() - begin))
        run_limited([sys.executable, "-m", "bench.report", str(stem.parent)], seconds)
        return make_ledger(config, rows)

    def failure(self, config: dict[str, Any], error: SettingError) -> StepLedger:
        row = StepRow(contender="all", status="failed", reason=str(error), command=[], estimate_seconds=0.0)
        return make_ledger(config, [row])

    def headline(self, result: StepLedger) -> str:
        return f"{result.measured} steps"

    def summary(self, result: StepLedger) -> dict[str, str]:
        return {row.contender: row.status for row in result.rows}


def planned_rows(config: dict[str, Any], typed: list[str]) -> list[StepRow]:
    """Return a row per step, none of which has started.

    Args:
        typed: overrides of the command line; those of the groups that a step takes are passed on.

    Raises:
        SettingError: `only` names a step that does not exist, or an override is read by no step.
    """
    steps, only = config["steps"], config["only"]
    if unknown := [name for name in only or [] if name not in steps]:
        raise SettingError("only", unknown_choice(unknown[0], steps))
    taken = {group for step in steps.values() for group in step.get("takes", [])}
    for key in map(key_of, typed):
        if key.split(".")[0] not in taken | OWN:
            raise SettingError(key, f"no step reads it; the groups that are passed on are {', '.join(sorted(taken))}")
    folder, rows = readable(f"{config['results_dir']}/{config['experiment_name']}"), []
    for name in only or steps:
        step = Step.model_validate(steps[name])
        command = [
            f"+experiment={step.experiment}",
            *(override for override in typed if key_of(override).split(".")[0] in step.takes),
            f"results_dir={folder}",
            f"cache_dir={readable(config['cache_dir'])}",
            "logger=none",
            f"force={str(config['force']).lower()}",
            *step.overrides,
        ]
        lacking = step.needs is not None and OmegaConf.select(OmegaConf.create(config), step.needs) is None
        rows.append(
            StepRow(
                contender=name,
                status="missing" if lacking else "slow",
                reason=f"left out: it needs {step.needs}" if lacking else "not started: no time was left",
                command=command,
                estimate_seconds=START_SECONDS + config["scale"] * max(0.0, step.seconds - START_SECONDS),
            )
        )
    return rows


def readable(path: str) -> str:
    """Return a path as Hydra can read it: in quotes if it has other characters than letters, digits, _, ., / and -."""
    return path if re.fullmatch(r"[\w./-]+", path, re.ASCII) else in_quotes(path)


def print_plan(config: dict[str, Any], rows: list[StepRow]) -> None:
    """Print the estimated seconds and the command of each step."""
    due = [row for row in rows if row.status != "missing"]
    print_line(
        f"{len(due)} steps, about {sum(row.estimate_seconds for row in due):.0f} s (estimates for one 80 GB GPU); "
        f"limit_seconds={config['limit_seconds']:.0f}"
    )
    for row in rows:
        if row.status == "missing":
            print_line(f"  {row.contender}: {row.reason}")
        else:
            command = shlex.join(["python", "-m", "bench", *row.command])
            print_line(f"  {row.contender}: about {row.estimate_seconds:.0f} s: {command}")


def run_step(row: StepRow, seconds: float) -> StepRow:
    """Run a step for at most this time, and return its row with how it ended."""
    if seconds < START_SECONDS:
        return row
    begin = time.monotonic()
    status = run_limited([*COMMAND, *row.command], seconds)
    took = round(time.monotonic() - begin, 1)
    if status in (STOPPED, None):
        reason = f"stopped after {took:.0f} s; its finished cells are kept, and the same command continues"
        return dataclasses.replace(row, status="slow", reason=reason, seconds=took)
    if status:
        reason = f"exit status {status}; its lines above say why"
        return dataclasses.replace(row, status="failed", reason=reason, seconds=took)
    return dataclasses.replace(row, status="ok", reason=None, seconds=took)


def run_limited(command: list[str], seconds: float) -> int | None:
    """Run a command for at most this time.

    Returns:
        Its exit status; None if the time limit ended it.
    """
    with subprocess.Popen(command, start_new_session=True) as process:  # a group, with the workers of a launcher
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:  # the time is over, or a signal stops this process
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


def outcome(row: StepRow) -> str:
    """Return how a step ended, in a few words."""
    took = "" if row.seconds is None else f" in {row.seconds:.0f} s, {row.estimate_seconds:.0f} s estimated"
    return f"{row.status}{took}" + (f"; {row.reason}" if row.reason else "")


def make_ledger(config: dict[str, Any], rows: list[StepRow]) -> StepLedger:
    """Return the ledger of these rows on the device of the configuration."""
    header = ledger_header(config, device=config["device"], precision=config["precision"], rounds=1)
    return StepLedger(**header, limit_seconds=config["limit_seconds"], rows=list(rows))
