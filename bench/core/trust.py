"""Records whose cells may be built again: building a cell runs the classes that its record names.

Only classes of this project, and those that the user trusts, are allowed.
"""

import argparse
import functools
from pathlib import Path
from typing import Any

import yaml

from bench.core.environment import config_dir
from bench.core.errors import SettingError
from bench.core.record import Record
from bench.core.source_hash import called_targets


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--trust` to a command that builds a record's cell."""
    parser.add_argument(
        "--trust", action="append", default=[], metavar="TARGET", help="class of another package that may be run"
    )


def finished_record(argument: str, path: Path, trusted: list[str]) -> Record:
    """Read the record of a cell that is to be built again.

    Args:
        argument: name of the command's argument, for refusals.
        trusted: classes of other packages that the user trusts.

    Raises:
        SettingError: no such record, a run that failed, or code that is not trusted.
    """
    if not path.is_file():
        raise SettingError(argument, f"{path} does not exist; give the .json of a finished cell")
    record = Record.read(path)
    check_targets(record.config, trusted)
    if record.status != "ok":
        raise SettingError(argument, f"{path} is a cell that ended as {record.status}; give one that is ok")
    return record


def check_targets(config: Any, trusted: list[str]) -> None:
    """Check that a record's configuration calls only classes of this project and those that the user trusts.

    Raises:
        SettingError: it calls another class or function.
    """
    for target in called_targets(config):
        if target not in trusted and target not in shipped_targets():
            problem = f"it would run {target}, which is not part of head-bench; if you trust it, add --trust {target}"
            raise SettingError("RECORD", problem)


@functools.cache
def shipped_targets() -> frozenset[str]:
    """Return the classes and functions that the configuration tree calls."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # OmegaConf's own reader takes half a second
    trees = (yaml.load(file.read_text(), loader) for file in Path(config_dir()).rglob("*.yaml"))
    return frozenset(target for tree in trees for target in called_targets(tree))
