"""`python -m bench.verify RECORD…`: run cells again from their records alone, and compare all figures."""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bench.core.cpu_threads import limit_threads
from bench.core.dotted import dotted
from bench.core.environment import cache_of, silence_libraries, substitute_unprintable
from bench.core.errors import BAD_INPUT, SettingError
from bench.core.provenance import reproducibility_fields
from bench.core.record import MEASURED_LATER, Record
from bench.core.refusals import REFUSED, exiting_on_refusal, explain_refusal
from bench.core.trust import add_option, finished_record
from bench.run import run

TIMES = (
    "cpu_share",
    "train_seconds",
    "train_ms_per_1k",
    "head_train_ms_per_1k",
    "decode_ms_1",
    "decode_ms_256",
    "encode_seconds",
)

# where, when and by which code a cell ran
CIRCUMSTANCES = ("config", "versions", "device", "cells_at_once", "git_commit", "source_sha256", "finished_at")


def repeatable(path: Path, trusted: list[str]) -> Record:
    """Read a record that can be run again.

    Raises:
        SettingError: see `finished_record`; or its training was ended by a time limit.
    """
    record = finished_record("RECORD", path, trusted)
    if record.config["budget"]["seconds"] is not None:
        problem = f"{path} was trained until a time limit; only a budget in words can be repeated"
        raise SettingError("RECORD", problem)
    return record


def run_again(record: Record, path: Path) -> Record:
    """Train the cell of a record again in a temporary folder, and return the new record.

    Raises:
        SettingError: the run failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        replaced = {
            "results_dir": folder,
            "force": True,
            "checkpoint": {"seconds": 1e9},
            "logger": OmegaConf.create({"_target_": "bench.training.loggers.none"}),
        }
        repeated = run(OmegaConf.create({**record.config, **replaced, "cache_dir": cache_of(record.config)}))
        if repeated.status != "ok":
            problem = f"{path} cannot be repeated: the run ended as {repeated.status} ({repeated.reason})"
            raise SettingError("RECORD", problem)
        return repeated


def differences(one: Record, other: Record) -> Iterator[tuple[str, Any, Any]]:
    """Yield the figures that differ, times left out: name, value in the first record, value in the second."""
    first, second = (dict(figures(dataclasses.asdict(record))) for record in (one, other))
    for name in first | second:
        if first.get(name) != second.get(name):
            yield name, first.get(name), second.get(name)


def figures(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number and text of a record with its dotted name, without times, circumstances and MEASURED_LATER."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            if name or key not in (*TIMES, *CIRCUMSTANCES, *MEASURED_LATER):
                yield from figures(part, dotted(name, key))
    elif not name.endswith(".seconds"):
        yield name, value


def distance(one: Any, other: Any) -> float:
    """Return the relative difference of two numbers; infinite for values that are not numbers."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) / max(abs(one), abs(other))
    return float("inf")


def agrees(recorded: Record, repeated: Record, tolerance: float, *, name: str | None) -> bool:
    """Print how two records of one cell differ, in one line if `name` is given; return whether they agree.

    Args:
        tolerance: relative difference allowed.
        name: name of the cell, printed before the line.
    """
    unequal = [*differences(recorded, repeated)]
    known = [each for each in unequal if each[1] is not None]
    different = [each for each in known if not distance(*each[1:]) <= tolerance]
    verdict = f"{len(different)} of the figures differ" if different else "all figures agree"
    if name is not None:
        bits = recorded.bits_per_byte, repeated.bits_per_byte
        print(f"{name}: {verdict}" + (f", bits per byte {bits[0]} and now {bits[1]}" if different else ""), flush=True)
        return not different
    if len(known) < len(unequal):
        print(f"({len(unequal) - len(known)} figures are not in the record, which an earlier version may have written)")
    for figure, before, after in different:
        print(f"{figure}: {before} in the record, {after} now")
    for field, after in reproducibility_fields(recorded.config).items():
        before = getattr(recorded, field)
        if field != "config" and before != after:
            print(f"({field} differs: {before} in the record, {after} now)")
    print(verdict)
    return not different


def main() -> None:
    """Exit with 0 if every figure agrees, with 1 if a figure differs, with 2 if a cell cannot be repeated."""
    substitute_unprintable()
    parser = argparse.ArgumentParser(prog="python -m bench.verify", description=__doc__.split(": ", 1)[1])
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORD", help="the .json of finished cells")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, help="relative difference allowed (default 0: equal to the bit)"
    )
    add_option(parser)
    arguments = parser.parse_args()
    with exiting_on_refusal():
        records = {path: repeatable(path, arguments.trust) for path in arguments.records}
    silence_libraries()
    limit_threads()
    status = 0
    for path, record in records.items():
        try:
            name = path.stem if len(records) > 1 else None
            status = max(status, int(not agrees(record, run_again(record, path), arguments.tolerance, name=name)))
        except REFUSED as error:  # the other cells are run all the same
            status = BAD_INPUT
            print(explain_refusal(error, []), file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
