"""Records and cost ledgers -> tables, figures and one HTML page. The report reads nothing else."""

import difflib
import io
import re
from functools import partial
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from bench.core.errors import SettingError
from bench.core.files import write_atomically
from bench.report import (
    break_even,
    cost_report,
    csv_table,
    data_law,
    encoder_report,
    latex,
    leaderboard,
    ledgers,
    loop_report,
    page,
    plots,
    run_table,
    terminal,
    tuning,
    words_plots,
)
from bench.report.plot_style import STYLE, line_styles
from bench.report.significance import REFERENCE, default_baseline

FORMATS = ("svg", "png")  # of the figures' files; the first is the default

TABLE_FORMATS = {  # suffix of the file, and the function that writes the leaderboards
    "markdown": ("md", leaderboard.write),
    "latex": ("tex", latex.write),
    "csv": ("csv", csv_table.write),
}


def report(folders: list[Path], out: Path, figure_format: str = FORMATS[0], baseline: str | None = None) -> None:
    """Write tables, `figures/` and `index.html` into `out`; print the tables and the page's path.

    Equal records give equal bytes.

    Records give `leaderboard.md`, trials of a search `tuning.md`, cost ledgers `costs.md`.

    Args:
        baseline: system or label that the others are compared with; None chooses (`default_baseline`).

    Raises:
        SettingError: the folders hold no record and no ledger, a file that should be a ledger is none, or there is no
            such baseline.
    """
    runs, costs = run_table.load(folders), ledgers.load(folders)
    if runs.empty and not costs:
        places = ", ".join(map(str, folders))
        raise SettingError("folders", f"no records below {places}; run a sweep first, or name its folder")
    is_trial = tuning.is_trial(runs)
    if is_trial.any():  # trials are compared on validation alone, in a table of their own
        tuning.write(runs[is_trial], out / "tuning.md")
        runs = runs[~is_trial]
    cells = run_table.cells(runs)
    baseline = known_baseline(baseline, runs)
    boards = [*leaderboard.leaderboards(runs, cells, baseline)]
    break_evens = [table for _, here in runs.groupby(run_table.GROUP) for table in break_even.tables_in_runs(here)]
    laws = [*data_law.law_tables(runs, cells, baseline)]
    if boards:
        leaderboard.write(boards, out / "leaderboard.md", [*laws, *break_evens])
    drawings: page.Drawings = {}
    for group, here in runs.groupby(run_table.GROUP):
        names = [name for name, field in zip(group, run_table.GROUP, strict=True) if runs[field].nunique() > 1]
        suffix = "".join("-" + re.sub(r"\W+", "_", name) for name in names if name)
        figures = plots.draw(here, run_table.in_group(cells, group))
        drawings[group] = {
            name: save(figure, out / "figures" / f"{name}{suffix}.{figure_format}") for name, figure in figures.items()
        }
    growth: list[str] = []
    for corpus, here in runs.groupby("corpus"):  # across budgets
        suffix = "-" + re.sub(r"\W+", "_", corpus) if runs.corpus.nunique() > 1 else ""
        with matplotlib.rc_context(STYLE):
            of_corpus = cells[cells.corpus == corpus]
            figure = words_plots.quality_vs_words(here, of_corpus, line_styles(of_corpus))
        if figure is not None:
            growth.append(save(figure, out / "figures" / f"quality_vs_words{suffix}.{figure_format}"))
    sections = [*cost_report.sections(costs), *encoder_report.sections(costs), *loop_report.sections(costs)]
    if sections:
        cost_report.write(sections, out / "costs.md")
    for section in sections:
        for name, figure in section.figures.items():
            path = out / "figures" / f"{name}{section.name}.{figure_format}"
            section.pictures[name] = save(figure, path)
    if boards or sections:
        page.write(runs, cells, boards, drawings, out / "index.html", sections, baseline, growth, laws)
    costs_by_size = (table for section in sections for table in (*section.sizes, *section.summary))
    systems_and_costs = (table for board in boards for table in (board.systems, *board.costs))
    terminal.show([*systems_and_costs, *laws, *break_evens, *costs_by_size])
    if boards or sections:
        print(f"report: {out / 'index.html'}")


def show_size(folder: Path, size: int) -> None:
    """Print the tables of one vocabulary size."""
    runs = run_table.load([folder])
    runs = runs[~tuning.is_trial(runs)]
    boards = leaderboard.leaderboards(runs, run_table.cells(runs), default_baseline(runs))
    terminal.show([board.systems for board in boards if board.size == size])


def write_tables(folders: list[Path], out: Path, table_format: str, baseline: str | None = None) -> Path:
    """Write the leaderboards alone, in a format for a paper or for another program; return the file's path.

    Args:
        table_format: a key of `TABLE_FORMATS`.
        baseline: system or label that the others are compared with; None chooses (`default_baseline`).

    Raises:
        SettingError: the folders hold no record, or there is no such baseline.
    """
    runs = run_table.load(folders)
    runs = runs[~tuning.is_trial(runs)]
    if runs.empty:
        places = ", ".join(map(str, folders))
        remedy = "run a sweep first, or name its folder (tables of costs: without --format)"
        raise SettingError("folders", f"no records below {places}; {remedy}")
    cells = run_table.cells(runs)
    baseline = known_baseline(baseline, runs)
    suffix, write = TABLE_FORMATS[table_format]
    path = out / f"leaderboard.{suffix}"
    write([*leaderboard.leaderboards(runs, cells, baseline)], path)
    return path


def known_baseline(name: str | None, runs: pd.DataFrame) -> str:
    """Return the baseline that a reader named, which is a system or a label; without a name the default.

    Raises:
        SettingError: no run has the name; the line suggests the nearest.
    """
    if name is None:
        return default_baseline(runs)
    known = [*dict.fromkeys([*runs.system, *runs.label])]
    if name != REFERENCE and name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known) or REFERENCE}"
        raise SettingError("--baseline", f"no record is of {name}; {remedy}")
    return name


def save(figure: Figure, path: Path) -> str:
    """Write a figure in the format of the path's suffix, and return its SVG text for the page."""
    svg = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(svg, format="svg", metadata={"Date": None})
        if path.suffix == ".png":
            write_atomically(path, partial(figure.savefig, format="png", dpi=150))
        else:
            write_atomically(path, lambda file: file.write(svg.getvalue()))
    return svg.getvalue().decode()
