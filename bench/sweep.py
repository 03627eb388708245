"""What a sweep needs beyond its cells: how many there are, how they ended, and the report.

It asks the records, not the processes that make them: a launcher runs those elsewhere, and a killed one says nothing.
"""

import contextlib
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
from omegaconf import DictConfig, OmegaConf

from bench.core.command_line import REFUSED, exit_with_refusal, explain_refusal
from bench.core.errors import FAILED
from bench.core.paths import check_results_folder, plain_config, resolved_config
from bench.core.progress import TALLY, print_line
from bench.core.provenance import now
from bench.core.settings import check_config


class SweepCallback(Callback):
    """Hydra calls it around a run or a multirun, before it has written anything, and before each job."""

    total: int | None = None  # cells; None in a single run
    begin = ""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse what would be written in the wrong place, or nowhere."""
        with refusing():
            check_results_folder(config, typed(config))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Count the grid, so that each cell can say how long the sweep still takes."""
        self.on_run_start(config)
        with refusing():
            self.total, self.begin = len(jobs(config)), now()
            TALLY.total = self.total

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """In a launcher's process, which gets a copy of this object and has not seen the cells before."""
        if self.total is not None and TALLY.total != self.total:
            TALLY.total, TALLY.alone = self.total, False
        if not TALLY.alone:
            TALLY.done = config.hydra.job.num

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Report, and end with a status that tells whether every cell is there."""
        try:
            with refusing():
                missing = finish(config, self.begin)
        except Exception:  # Hydra would warn, and exit with 0
            traceback.print_exc()
            sys.exit(FAILED)
        if missing:
            sys.exit(FAILED)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Hydra makes a warning of what a callback raises, and goes on."""
    try:
        yield
    except REFUSED as error:
        exit_with_refusal(error)


def typed(config: DictConfig) -> list[str]:
    """The overrides of the command line as they stand, references unresolved."""
    return OmegaConf.to_container(config.hydra.overrides.task, resolve=False)


def finish(config: DictConfig, begin: str) -> int:
    """The report of what there is, then how many cells are not, and why.

    Args:
        begin: of the sweep; with `force=true` an older record says nothing of it.
    """
    from bench.report import report

    folder = Path(config.results_dir) / config.experiment_name
    grid = jobs(config)
    missing = [each for overrides in grid for each in complaint(overrides, folder, begin)]
    if any(folder.glob("*.json")):
        report([folder], folder)
    for _, line in missing:
        print_line(f"  {line}")
    if missing:
        kinds = Counter(status for status, _ in missing).most_common()
        why = ", ".join(f"{count} {status}" for status, count in kinds)
        print_line(f"{len(missing)} of {len(grid)} cells failed ({why}), see above; the same command tries them again")
    return len(missing)


def jobs(config: DictConfig) -> list[list[str]]:
    """The overrides of every cell that Hydra's sweeper makes of the experiment's axes and the command line's."""
    axes = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    overrides = parser.parse_overrides([*axes, *typed(config)])
    last = {override.get_key_element(): override for override in overrides}
    [batch] = BasicSweeper.split_arguments(list(last.values()), max_batch_size=None)
    return batch


def complaint(overrides: list[str], folder: Path, begin: str) -> Iterator[tuple[str, str]]:
    """Status and one line for a cell that has no sound record: its name, what happened, where to read more."""
    try:
        cfg = compose("config", overrides)
        check_config(plain_config(cfg))
        work = get_object(cfg.job)
        stem = work.record_stem(resolved_config(cfg))
        path = stem.with_name(f"{stem.name}.json")
        record = work.read_record(path) if path.is_file() else None
    except REFUSED as error:
        yield "failed", f"{' '.join(overrides)}: {explain_refusal(error, overrides)}"
        return
    if record is None or (cfg.force and record.finished_at < begin):
        yield "killed", f"{stem.name}: no record, its process was killed (logs: {folder / 'hydra'})"
    elif record.status != "ok":
        where = "" if "(trace: " in record.reason else f" (record: {path})"
        yield record.status, f"{stem.name}: {record.status}: {record.reason}{where}"
