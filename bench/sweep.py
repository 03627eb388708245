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
from hydra.utils import get_object
from omegaconf import DictConfig

from bench.cli import FAILED
from bench.places import resolved
from bench.progress import CONSOLE, TALLY


class SweepCallback(Callback):
    """Hydra calls it around a multirun."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Count the grid, so that each cell can say how long the sweep still takes."""
        TALLY.total = len(jobs(config))

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
    cfg = compose("config", overrides)
    work = get_object(cfg.job)
    stem = work.place(resolved(cfg))
    path = stem.with_name(f"{stem.name}.json")
    if not path.is_file():
        yield "killed", f"{stem.name}: no record, its process was killed (logs: {folder / 'hydra'})"
    elif (record := work.read(path)).status != "ok":
        where = "" if "(trace: " in record.reason else f" (record: {path})"
        yield record.status, f"{stem.name}: {record.status}: {record.reason}{where}"
