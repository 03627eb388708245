"""Locate the configuration tree, register its resolvers and silence noisy libraries."""

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

from omegaconf import OmegaConf

from bench.core import random_search

OmegaConf.register_new_resolver("last_part", lambda path: Path(str(path)).name, replace=True)
OmegaConf.register_new_resolver("if_null", lambda value, then, other: then if value is None else other, replace=True)
random_search.register()


def config_dir() -> str:
    """Where the configuration tree lies: beside the package in a checkout, inside it in a wheel."""
    beside = Path(__file__).resolve().parents[2] / "conf"
    return str(beside if beside.is_dir() else Path(find_spec("bench.conf").submodule_search_locations[0]))


def silence_libraries() -> None:
    """Libraries that talk of what is no news; Hydra has just set the root logger to INFO."""
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
