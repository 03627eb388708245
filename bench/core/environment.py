"""Prepare a process: find the configuration tree, register its resolvers, set up streams and libraries."""

import logging
import os
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bench.core import random_search
from bench.core.errors import SettingError
from bench.core.rate_by_words import rate_by_words


def cache_folder() -> str:
    """Return the default of the setting `cache_dir`: HEAD_BENCH_CACHE, or a folder in the user's home.

    Raises:
        SettingError: the variable is not set and the user has no home folder.
    """
    if folder := os.environ.get("HEAD_BENCH_CACHE"):
        return folder
    try:
        return str(Path.home() / ".cache" / "head-bench")
    except RuntimeError:
        raise SettingError("cache_dir", "there is no home folder; set HOME or HEAD_BENCH_CACHE") from None


OmegaConf.register_new_resolver("last_part", lambda path: Path(str(path)).name, replace=True)
OmegaConf.register_new_resolver("if_null", lambda value, then, other: then if value is None else other, replace=True)
OmegaConf.register_new_resolver(
    "axis", lambda choices: choices if isinstance(choices, str) else ",".join(choices), replace=True
)  # a list as Hydra's sweeper writes one
OmegaConf.register_new_resolver("cache_folder", cache_folder, replace=True)
OmegaConf.register_new_resolver(
    "scaled", lambda scale, count, least: max(least, round(count * scale)), replace=True
)  # number of words or types in a rehearsal
OmegaConf.register_new_resolver("rate_by_words", rate_by_words, replace=True)
random_search.register()


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
