"""What a sweep needs beyond its cells: how many there are, and the report when all have ended."""

import contextlib
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bench.cli import configuration, refuse
from bench.errors import SettingError
from bench.progress import CONSOLE, TALLY
from bench.refusals import REFUSED
from bench.settings import NEEDED, check_folder, check_value


class SweepCallback(Callback):
    """Hydra calls it around a multirun."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a folder that cannot be before Hydra makes it."""
        with refusing():
            make_folder(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Count the grid, so that each cell can say how long the sweep still takes."""
        with refusing():
            make_folder(config)
            TALLY.total = cells(config)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report, and end with a status that tells whether every cell is there."""
        from bench.report import report

        folder = Path(config.results_dir) / config.experiment_name
        if any(folder.glob("*.json")):
            with refusing():
                report([folder], folder)
        if TALLY.outcomes:
            CONSOLE.print(f"{len(TALLY.outcomes)} of {TALLY.total} cells failed:", markup=False)
            for cell, why in TALLY.outcomes:
                CONSOLE.print(f"  {cell}: {why}", markup=False, highlight=False)
            sys.exit(1)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Hydra makes a warning of what a callback raises, and goes on."""
    try:
        yield
    except REFUSED as error:
        refuse(error)


def make_folder(config: DictConfig) -> None:
    """Where all results go.

    Raises:
        SettingError: nothing can be written there.
    """
    check_folder(config.experiment_name)
    check_value("results_dir", config.results_dir, NEEDED["results_dir"])
    try:
        folder = Path(config.results_dir, config.experiment_name)
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SettingError("results_dir", f"nothing can be written there ({error}); give another") from None


def cells(config: DictConfig) -> int:
    """How many jobs Hydra's sweeper makes of the experiment's axes and the command line's, which replace them."""
    axes = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    overrides = OverridesParser.create().parse_overrides([*axes, *config.hydra.overrides.task])
    last = {override.get_key_element(): override for override in overrides}
    return math.prod(len(choices(override)) for override in last.values() if override.is_sweep_override())


def choices(override: Override) -> list[Any]:
    """The values of one axis; a glob's are files of the configuration tree."""
    pattern = override.value()
    if isinstance(pattern, Glob):
        return pattern.filter([file.stem for file in Path(configuration(), override.key_or_group).glob("*.yaml")])
    return list(override.sweep_iterator())
