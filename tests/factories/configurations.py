"""Configurations: composed from the tree, as plain data, and of cells that train in seconds."""

import contextlib
import copy
import functools
from collections.abc import Iterator
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from bench.core.environment import config_dir
from bench.core.identity import OUTSIDE_IDENTITY
from bench.core.sweep_plan import jobs

TREE = Path(config_dir())

GROUPS = ("system", "corpus", "targets", "backbone", "trainer", "logger")

CHOICES = [(group, file.stem) for group in GROUPS for file in sorted((TREE / group).glob("*.yaml"))]

SYSTEMS = sorted(file.stem for file in (TREE / "system").glob("*.yaml"))


@contextlib.contextmanager
def hydra_over_the_tree() -> Iterator[None]:
    """Start Hydra unless a test has started it: the end of a second Hydra would end the first."""
    if GlobalHydra.instance().is_initialized():
        yield
    else:
        with initialize_config_dir(str(TREE), version_base="1.3"):
            yield


@functools.cache
def of_choices(*choices: str) -> DictConfig:
    """Compose choices of groups, once per process: Hydra takes 0.15 s."""
    with hydra_over_the_tree():
        return compose("config", overrides=list(choices))


def composed(*overrides: str) -> DictConfig:
    """Compose the choices of groups among the overrides, then set the values, as Hydra does."""
    values = [each for each in overrides if each[0] not in "+~" and not (TREE / each.partition("=")[0]).is_dir()]
    config = copy.deepcopy(of_choices(*(each for each in overrides if each not in values)))
    for override in OverridesParser.create().parse_overrides(values):
        OmegaConf.update(config, override.key_or_group, override.value())
    return config


def composed_with_hydra(*overrides: str) -> DictConfig:
    """Compose with the settings of Hydra itself, under `hydra`."""
    with hydra_over_the_tree():
        return compose("config", overrides=list(overrides), return_hydra_config=True)


def cells(*overrides: str, task: list[str] | None = None) -> int:
    """Count the cells of a sweep with these overrides, and with those of a command line on top."""
    cfg = composed_with_hydra(*overrides)
    with hydra_over_the_tree():
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
