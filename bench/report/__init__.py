"""Records -> leaderboard, figures, page. It reads nothing but records."""

import io
from functools import partial
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from bench.errors import SettingError
from bench.record import atomically
from bench.report import figures, leaderboard, page, table


def report(folders: list[Path], out: Path) -> None:
    """Write `leaderboard.md`, `figures/` and `index.html` into `out` and print the leaderboard.

    The same records give the same bytes.

    Raises:
        SettingError: no record lies below the folders, or a file there is not one.
    """
    runs = table.load(folders)
    if runs.empty:
        places = ", ".join(map(str, folders))
        raise SettingError("folders", f"no records below {places}; run a sweep first, or name its folder")
    cells = table.cells(runs)
    leaderboard.write(runs, cells, out / "leaderboard.md")
    pictures: dict[str, dict[str, str]] = {}
    for corpus, here in runs.groupby("corpus"):
        suffix = f"-{corpus}" if runs.corpus.nunique() > 1 else ""
        drawn = figures.draw(here, cells[cells.corpus == corpus])
        pictures[corpus] = {name: save(drawn[name], out / "figures" / f"{name}{suffix}.svg") for name in drawn}
    page.write(runs, cells, pictures, out / "index.html")
    leaderboard.show(runs, cells)


def save(figure: Figure, path: Path) -> str:
    """Put an SVG and the PNG beside it in place, and hand back the SVG's text for the page."""
    svg = io.BytesIO()
    with matplotlib.rc_context(figures.STYLE):
        figure.savefig(svg, format="svg", metadata={"Date": None})
        atomically(path.with_suffix(".png"), partial(figure.savefig, format="png", dpi=150))
    atomically(path, lambda file: file.write(svg.getvalue()))
    return svg.getvalue().decode()
