"""What a sweep needs beyond its cells: how many there are, how they ended, and the report.

It asks the records, not the processes that make them: a launcher runs those elsewhere, and a killed one says nothing.
"""

import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bench.cli import FAILED
from bench.places import place, resolved
from bench.progress import CONSOLE, TALLY
from bench.record import read


class SweepCallback(Callback):
    """Hydra calls it around a multirun, and before each of its jobs."""

    total: int | None = None  # cells; None in a single run

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Count the grid, so that each cell can say how long the sweep still takes."""
        self.total = TALLY.total = len(jobs(config))

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """In a launcher's process, which gets a copy of this object and has not seen the cells before."""
        if self.total is not None and TALLY.total != self.total:
            TALLY.total, TALLY.alone = self.total, False
        if not TALLY.alone:
            TALLY.done = config.hydra.job.num

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report, and end with a status that tells whether every cell is there."""
        try:
            missing = finish(config)
        except Exception:  # Hydra would warn, and exit with 0
            traceback.print_exc()
            sys.exit(FAILED)
        if missing:
            sys.exit(FAILED)


def finish(config: DictConfig) -> int:
    """The report of what there is, then how many cells are not, and why."""
    from bench.report import report

    folder = Path(config.results_dir) / config.experiment_name
    grid = jobs(config)
    missing = [each for overrides in grid for each in complaint(overrides, folder)]
    if any(folder.glob("*.json")):
        report([folder], folder)
    for _, line in missing:
        say(f"  {line}")
    if missing:
        kinds = Counter(status for status, _ in missing).most_common()
        why = ", ".join(f"{count} {status}" for status, count in kinds)
        say(f"{len(missing)} of {len(grid)} cells failed ({why}), see above; the same command tries them again")
    return len(missing)


def say(line: str) -> None:
    """As it is, on one line."""
    CONSOLE.print(line, markup=False, highlight=False, soft_wrap=True)


def jobs(config: DictConfig) -> list[list[str]]:
    """The overrides of every cell that Hydra's sweeper makes of the experiment's axes and the command line's."""
    axes = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*axes, *config.hydra.overrides.task])
    last = {override.get_key_element(): override for override in overrides}
    [batch] = BasicSweeper.split_arguments(list(last.values()), max_batch_size=None)
    return batch


def complaint(overrides: list[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Status and one line for a cell that has no sound record: its name, what happened, where to read more."""
    stem = place(resolved(compose("config", overrides)))
    path = stem.with_name(f"{stem.name}.json")
    if not path.is_file():
        yield "killed", f"{stem.name}: no record, its process was killed (logs: {folder / 'hydra'})"
    elif (record := read(path)).status != "ok":
        where = "" if "(trace: " in record.reason else f" (record: {path})"
        yield record.status, f"{stem.name}: {record.status}: {record.reason}{where}"
