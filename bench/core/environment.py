"""Prepare a process: find the configuration tree, register its resolvers, set up streams and libraries."""

import logging
import os
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from bench.core import resolvers

resolvers.register()

PACKAGE = Path(__file__).resolve().parents[1]


def config_dir(package: Path = PACKAGE) -> str:
    """Return the folder of the configuration tree.

    A wheel installs the tree inside this package. A checkout has it beside the package; beside an installed package
    may lie a foreign `conf`, so the folder inside comes first.
    """
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parent / "conf")


def substitute_unprintable() -> None:
    """Print `?` for a character that the screen's encoding lacks, where Python would raise UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="replace")


def silence_libraries() -> None:
    """Silence messages of libraries that tell a user nothing; Hydra has set the root logger to INFO."""
    for name in (
        "faiss",
        "gensim",
        "pytorch_lightning",
        "lightning",
        "smart_open",
        "httpx",
        "datasets",
        "huggingface_hub",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="The `srun` command is available")


def cache_of(config: dict[str, Any]) -> str:
    """Return the cache folder for work on a stored record: HEAD_BENCH_CACHE, else the one that the record names."""
    return os.environ.get("HEAD_BENCH_CACHE") or str(Path(config["cache_dir"]).expanduser())
