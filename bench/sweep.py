"""What a sweep needs beyond its cells: how many there are, and the report when all have ended."""

import math
import sys
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bench.cli import configuration
from bench.progress import CONSOLE, TALLY


class SweepCallback(Callback):
    """Hydra calls it around a multirun."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Count the grid, so that each cell can say how long the sweep still takes."""
        TALLY.total = cells(config)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report, and end with a status that tells whether every cell is there."""
        from bench.report import report

        folder = Path(config.results_dir) / config.experiment_name
        report([folder], folder)
        if TALLY.outcomes:
            CONSOLE.print(f"{len(TALLY.outcomes)} of {TALLY.total} cells failed:", markup=False)
            for cell, why in TALLY.outcomes:
                CONSOLE.print(f"  {cell}: {why}", markup=False, highlight=False)
            sys.exit(1)


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
