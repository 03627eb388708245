"""Configurations: composed from the tree, as plain data, and of cells that train in seconds."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from bench.core.environment import config_dir
from bench.core.identity import OUTSIDE_IDENTITY
from bench.sweep import jobs

TREE = Path(config_dir())

GROUPS = ("system", "corpus", "targets", "backbone", "trainer", "logger")

CHOICES = [(group, file.stem) for group in GROUPS for file in sorted((TREE / group).glob("*.yaml"))]

SYSTEMS = sorted(file.stem for file in (TREE / "system").glob("*.yaml"))


def composed(*overrides: str, hydra: bool = False) -> DictConfig:
    with initialize_config_dir(str(TREE), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=hydra)


def cells(*overrides: str, task: list[str] | None = None) -> int:
    """Count the cells of a sweep with these overrides, and with those of a command line on top."""
    with initialize_config_dir(str(TREE), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides), return_hydra_config=True)
        cfg.hydra.overrides.task = [*overrides, *(task or [])]
        return len(jobs(cfg))


def plain(*overrides: str) -> dict:
    return OmegaConf.to_container(composed(*overrides), resolve=True)


CONFIG = {
    "system": {"name": "softmax", "head": {"_target_": "SoftmaxHead"}},
    "corpus": {"name": "kjv", "path": None},
    "vocabulary": {"size": 1000},
    "targets": {"name": "bert", "level": "token"},
    "optimizer": {"lr": 0.003},
    "inputs": "learned",
    "seed": 0,
} | dict.fromkeys(OUTSIDE_IDENTITY, "one")
