"""Records and cost ledgers -> tables, figures, page. It reads nothing else."""

import io
import re
from functools import partial
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from bench.core.errors import SettingError
from bench.core.files import write_atomically
from bench.report import (
    break_even,
    cost_report,
    encoder_report,
    leaderboard,
    ledgers,
    loop_report,
    markdown,
    page,
    plots,
    run_table,
    terminal,
    tuning,
)


def report(folders: list[Path], out: Path) -> None:
    """Write tables, `figures/` and `index.html` into `out` and print the tables; the same files give the same bytes.

    Of records `leaderboard.md`, of trials `tuning.md`, of cost ledgers `costs.md`.

    Raises:
        SettingError: no record and no ledger lies below the folders, or a file there is not one.
    """
    runs, priced = run_table.load(folders), ledgers.load(folders)
    if runs.empty and not priced:
        places = ", ".join(map(str, folders))
        raise SettingError("folders", f"no records below {places}; run a sweep first, or name its folder")
    trial = tuning.is_trial(runs)
    if trial.any():  # chosen by validation, and compared by nothing else
        tuning.write(runs[trial], out / "tuning.md")
        runs = runs[~trial]
    cells = run_table.cells(runs)
    tables = [*leaderboard.tables(runs, cells)]
    paid = [each for _, here in cells.groupby(run_table.GROUP) if (each := break_even.in_runs(here))]
    if tables:
        markdown.write(tables, out / "leaderboard.md", paid)
    pictures: dict[tuple[str, str], dict[str, str]] = {}
    for group, here in runs.groupby(run_table.GROUP):
        names = [name for name, field in zip(group, run_table.GROUP, strict=True) if runs[field].nunique() > 1]
        suffix = "".join("-" + re.sub(r"\W+", "_", name) for name in names if name)
        drawn = plots.draw(here, run_table.of(cells, group))
        pictures[group] = {name: save(drawn[name], out / "figures" / f"{name}{suffix}.svg") for name in drawn}
    found = [*cost_report.sections(priced), *encoder_report.sections(priced), *loop_report.sections(priced)]
    if found:
        cost_report.write(found, out / "costs.md")
    for each in found:
        for name, figure in each.figures.items():
            each.pictures[name] = save(figure, out / "figures" / f"{name}{each.name}.svg")
    if tables or found:
        page.write(runs, cells, tables, pictures, out / "index.html", found)
    terminal.show([*tables, *paid, *(sheet for each in found for sheet in (*each.sizes, *each.summary))])


def save(figure: Figure, path: Path) -> str:
    """Put an SVG and the PNG beside it in place, and hand back the SVG's text for the page."""
    svg = io.BytesIO()
    with matplotlib.rc_context(plots.STYLE):
        figure.savefig(svg, format="svg", metadata={"Date": None})
        write_atomically(path.with_suffix(".png"), partial(figure.savefig, format="png", dpi=150))
    write_atomically(path, lambda file: file.write(svg.getvalue()))
    return svg.getvalue().decode()
