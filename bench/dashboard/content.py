"""Everything that W&B shows of one experiment beside the runs of its cells, under the keys of the summary run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd

from bench.core.record import Record, read_records
from bench.dashboard.charts import Chart, charts
from bench.dashboard.tables import tables
from bench.report import run_table, tuning

FIGURES = (".svg", ".png")


@dataclass(frozen=True)
class Content:
    """Charts, tables and figures by key. Keys begin with the experiment, so that its panels need no filter of runs."""

    experiment: str
    folder: Path  # the first that holds records of the experiment
    records: dict[Path, Record]  # in the order in which they finished
    runs: pd.DataFrame
    charts: dict[str, Chart]
    tables: dict[str, pd.DataFrame]
    figures: dict[str, Path]  # as `python -m bench.report` wrote them

    @classmethod
    def of(cls, experiment: str, records: dict[Path, Record]) -> Self | None:
        """Build the content of one experiment from its records; None if all of them are trials of a search."""
        folders = list(dict.fromkeys(path.parent for path in records))
        in_order = sorted(records, key=lambda path: records[path].finished_at or "")
        latest = {path.stem: records[path] for path in in_order}  # a cell may be stored in two folders
        runs = run_table.runs([*latest.values()])
        runs = runs[~tuning.is_trial(runs)].reset_index(drop=True)
        if runs.empty:
            return None
        drawn = sorted(path for folder in folders for path in folder.glob("figures/*") if path.suffix in FIGURES)
        return cls(
            experiment,
            folders[0],
            {path: records[path] for path in in_order},
            runs,
            {f"{experiment}/{name}": chart for name, chart in charts(runs).items()},
            {f"{experiment}/{name}": frame for name, frame in tables(runs).items()},
            {f"{experiment}/figures/{path.stem}": path for path in drawn},
        )


def contents(folders: Sequence[Path]) -> list[Content]:
    """Return the content of each experiment whose records are in the folders or in their direct subfolders."""
    experiments: dict[str, dict[Path, Record]] = {}
    for path, record in read_records(folders):
        experiments.setdefault(record.experiment, {})[path] = record
    found = (Content.of(name, records) for name, records in sorted(experiments.items()))
    return [content for content in found if content is not None]
