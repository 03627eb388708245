"""Facts that reproduce a result: configuration, versions, device, commit, time."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from bench.core.source_hash import cell_sha256

PACKAGES = ("torch", "pytorch-lightning", "transformers", "hydra-core", "numpy", "head-bench")


def reproducibility_fields(config: dict[str, Any]) -> dict[str, Any]:
    """Return the record fields that reproduce a result."""
    return {
        "config": config,
        "versions": installed_versions(),
        "device": device_name(config),
        "cells_at_once": cells_at_once(),
        "git_commit": git_commit(),
        "source_sha256": cell_sha256(config),
    }


def machine_of(config: dict[str, Any]) -> str:
    """Return the device and the number of cells that share it as text: the times of a cell depend on both."""
    at_once = cells_at_once()
    return f"{device_name(config)}, cells at once: {'not known' if at_once is None else at_once}"


def trains_on_gpu(config: dict[str, Any]) -> bool:
    """True if the trainer's accelerator is a GPU of this machine."""
    import torch

    return torch.cuda.is_available() and config["trainer"]["accelerator"] in ("auto", "gpu", "cuda")


def device_name(config: dict[str, Any]) -> str:
    """Return the name of the GPU that a cell trains on, of the first if there are several, else processor and threads.

    `trainer.devices` is a number of GPUs or a list of their ids.
    """
    import torch  # heavy, and sweeps and refusals only ask this module for the time

    if not trains_on_gpu(config):
        return f"{cpu_name()}, {torch.get_num_threads()} threads"
    devices = config["trainer"].get("devices")
    return torch.cuda.get_device_name(devices[0] if isinstance(devices, list) and devices else None)


def cells_at_once() -> int | None:
    """Return the number of cells that this sweep runs at once on this machine; None if it is not known."""
    if not HydraConfig.initialized() or HydraConfig.get().mode == RunMode.RUN:
        return 1
    return launched_at_once(HydraConfig.get().launcher)


def launched_at_once(launcher: DictConfig) -> int | None:
    """Return the number of jobs that a launcher of Hydra runs at once on this machine; None if it does not say.

    The launchers of Slurm and Ray may run jobs on other machines, and a job of Slurm may share its machine with others.
    """
    processes = launcher.get("n_jobs")  # of hydra/launcher=joblib, where -1 means all processors
    if processes is None:
        one_by_one = launcher["_target_"].endswith(".BasicLauncher")
        return 1 if one_by_one and "SLURM_JOB_ID" not in os.environ else None
    if processes < 0:
        from joblib import cpu_count  # heavy, and there is no joblib without its launcher

        return max(1, cpu_count() + 1 + processes)
    return processes


def installed_versions() -> dict[str, str]:
    """Return the version of Python, and of each of PACKAGES that is installed; a source tree runs without it."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def git_commit() -> str | None:
    """Return the commit of this checkout; None outside a checkout, or on a machine without git."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None


def cpu_name() -> str:
    """Return the processor's name from /proc/cpuinfo, or as Python knows it on a system without that file."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def now() -> str:
    """Return the time in ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
