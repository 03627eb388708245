"""What a record must say so that another can get the same again."""

import datetime
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "pytorch-lightning", "transformers", "hydra-core", "numpy", "head-bench")


def reproducibility_fields(config: dict[str, Any]) -> dict[str, Any]:
    """The record fields that say how to get the same again."""
    git = subprocess.run(
        ["git", "-C", Path(__file__).parent, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    on_gpu = torch.cuda.is_available() and config["trainer"]["accelerator"] in ("auto", "gpu")
    return {
        "config": config,
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in PACKAGES},
        "device": torch.cuda.get_device_name() if on_gpu else f"{cpu_name()}, {torch.get_num_threads()} threads",
        "git_commit": git.stdout.strip() or None,
    }


def cpu_name() -> str:
    """As /proc/cpuinfo has it, where there is one."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def ledger_header(config: dict[str, Any], *, device: str, precision: str, rounds: int) -> dict[str, Any]:
    """All of `bench.cost.ledger.Ledger` but the rows.

    Args:
        device: `cpu` or `cuda`; the ledger has its name.
        precision: what was computed in.
    """
    made_by = reproducibility_fields(config)
    return {
        "experiment": config["experiment_name"],
        "device": torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else cpu_name(),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        **{key: made_by[key] for key in ("config", "versions", "git_commit")},
        "finished_at": now(),
    }
