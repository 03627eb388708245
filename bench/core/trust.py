"""A record names the classes that its cell is built of, so building it runs them: only ours, unless told."""

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bench.core.environment import config_dir
from bench.core.errors import SettingError


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--trust` of the commands that build a record's cell."""
    parser.add_argument(
        "--trust", action="append", default=[], metavar="TARGET", help="a class of another package that it may run"
    )


def check_targets(config: Any, trusted: list[str]) -> None:
    """A record names classes and functions, and building its cell calls them: only ours, and those the user trusts.

    Raises:
        SettingError: it names another.
    """
    for target in called(config):
        if target not in trusted and target not in shipped():
            problem = f"it would run {target}, which is none of ours; if you know what that is, add --trust {target}"
            raise SettingError("RECORD", problem)


def called(config: Any) -> Iterator[str]:
    """Every `_target_` in a configuration, and the class where that is a class's path."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield config["_target_"]
        if config.get("_target_") == "hydra.utils.get_class":
            yield config["path"]
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from called(value)


@functools.cache
def shipped() -> frozenset[str]:
    """What the configuration tree itself calls."""
    files = Path(config_dir()).rglob("*.yaml")
    return frozenset(target for file in files for target in called(OmegaConf.to_container(OmegaConf.load(file))))
