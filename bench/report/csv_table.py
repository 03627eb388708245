"""Write leaderboards as one CSV file: a row per cell, in the units of the records, for other programs.

A metric has four columns: mean over seeds, standard error (`_se`), 95 % interval (`_low`, `_high`). A
compared metric has p against the baseline too (`_p`), corrected within the table. A figure that was not measured is
empty.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.files import write_atomically
from bench.evaluation.metrics import METRICS
from bench.report.glossary import COST
from bench.report.leaderboard import Leaderboard
from bench.report.significance import interval_ends


def write(boards: Sequence[Leaderboard], path: Path) -> None:
    """Write the cells of all leaderboards."""
    rows = [row(cell, board) for board in boards for _, cell in board.cells.iterrows()]
    text = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    write_atomically(path, lambda file: file.write(text.encode("utf-8", "replace")))


def row(cell: pd.Series, board: Leaderboard) -> dict[str, Any]:
    """Return the row of one cell. Costs are left empty if its seeds ran on several machines or commits."""
    facts = {"corpus": board.corpus, "budget": board.budget, "vocabulary_size": board.size}
    facts |= {name: cell[name] for name in ("label", "system", "kind", "seeds", "settings")}
    facts |= {"failures": "; ".join(cell.failures), "baseline": board.comparisons.baselines.get(cell.label, "")}
    facts["origin"] = "; ".join(cell.origins)
    for metric in METRICS.values():
        ends = interval_ends(cell, metric) or (None, None)
        facts |= {metric.name: cell[metric.name], f"{metric.name}_se": cell[f"{metric.name}_se"]}
        facts |= dict(zip((f"{metric.name}_low", f"{metric.name}_high"), ends, strict=True))
        if metric.is_compared:
            comparison = board.comparisons.get(cell, metric)
            facts[f"{metric.name}_p"] = comparison and comparison.p
    for column in COST:
        names = (column.name, f"{column.name}_se")
        facts |= {name: cell[name] if len(cell.origins) < 2 else None for name in names}
    return facts
