"""`python -m bench.verify RECORD`: run a cell again from its record alone, and say whether the figures agree."""

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bench.core.environment import silence_libraries
from bench.core.errors import SettingError
from bench.core.provenance import reproducibility_fields
from bench.core.record import Record, read_record
from bench.core.trust import add_option, check_targets
from bench.run import run

CLOCK = (
    "cpu_share",
    "train_seconds",
    "train_ms_per_1k",
    "head_train_ms_per_1k",
    "decode_ms_1",
    "decode_ms_256",
    "encode_seconds",
)

ELSEWHERE = ("config", "versions", "device", "git_commit", "finished_at")  # where and when, not what


def again(record: Record, path: Path) -> Record:
    """The record of the same cell, trained anew in a folder that is gone afterwards.

    Raises:
        SettingError: the record is of a cell that failed, or that a clock ended.
    """
    if record.status != "ok":
        raise SettingError("RECORD", f"{path} is a cell that ended as {record.status}; give one that is ok")
    if record.config["budget"]["seconds"] is not None:
        raise SettingError(
            "RECORD", f"{path} was trained until a clock ended it; only a budget in words can be repeated"
        )
    with tempfile.TemporaryDirectory() as folder:
        here = {
            "results_dir": folder,
            "force": True,
            "checkpoint": {"seconds": 1e9},
            "logger": OmegaConf.create({"_target_": "bench.training.loggers.none"}),
        }
        cache = os.environ.get("HEAD_BENCH_CACHE") or str(Path(record.config["cache_dir"]).expanduser())
        return run(OmegaConf.create({**record.config, **here, "cache_dir": cache}))


def differences(one: Record, other: Record) -> Iterator[tuple[str, Any, Any]]:
    """The figures that differ, clocks left out: name, here, there."""
    first, second = (dict(figures(dataclasses.asdict(record))) for record in (one, other))
    for name in first | second:
        if first.get(name) != second.get(name):
            yield name, first.get(name), second.get(name)


def figures(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and text of a record, by its dotted name."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            if name or key not in (*CLOCK, *ELSEWHERE):
                yield from figures(part, f"{name}.{key}" if name else str(key))
    elif not name.endswith(".seconds"):
        yield name, value


def distance(one: Any, other: Any) -> float:
    """Relative, of two numbers; infinite for what does not compare."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) / max(abs(one), abs(other))
    return float("inf")


def main() -> None:
    """Exit with 0 where every figure agrees, with 1 where one does not."""
    parser = argparse.ArgumentParser(prog="python -m bench.verify", description=__doc__.split(": ", 1)[1])
    parser.add_argument("record", type=Path, metavar="RECORD", help="the .json of a finished cell")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, help="relative difference allowed (default 0: to the bit)"
    )
    add_option(parser)
    given = parser.parse_args()
    try:
        if not given.record.is_file():
            raise SettingError("RECORD", f"{given.record} is not there; give the .json of a finished cell")
        silence_libraries()
        known = read_record(given.record)
        check_targets(known.config, given.trust)
        found = again(known, given.record)
    except SettingError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    different = [each for each in differences(known, found) if not distance(*each[1:]) <= given.tolerance]
    for name, there, here in different:
        print(f"{name}: {there} in the record, {here} now")
    for name, here in reproducibility_fields(known.config).items():
        there = getattr(known, name)
        if name != "config" and there != here:
            print(f"({name} is another: {there} in the record, {here} now)")
    print(f"{len(different)} of the figures differ" if different else "all figures agree")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
