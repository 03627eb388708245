"""What a record must say so that another can get the same again."""

import datetime
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "pytorch-lightning", "transformers", "hydra-core", "numpy", "head-bench")


def reproducing(config: dict[str, Any]) -> dict[str, Any]:
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
