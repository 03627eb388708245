"""Reports of a few records, and readers of the files that a report writes."""

from html.parser import HTMLParser
from pathlib import Path

from bench.core.record import Record
from bench.report import leaderboard, page, run_table


def written_report(records: list[Record], out: Path) -> tuple[str, str]:
    """Write the leaderboard and the page of records, without figures; return both texts."""
    runs = run_table.runs(records)
    cells = run_table.cells(runs)
    tables = [*leaderboard.leaderboards(runs, cells)]
    leaderboard.write(tables, out / "leaderboard.md")
    page.write(runs, cells, tables, {(run.corpus, run.budget): {} for run in runs.itertuples()}, out / "index.html")
    return (out / "leaderboard.md").read_text(), (out / "index.html").read_text()


def rows_of(text: str, system: str) -> list[list[str]]:
    """Return the cells of one system's rows in a Markdown text."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(f"| {system} ")]


class Tags(HTMLParser):
    """Every tag of a page, and every attribute's name and value."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)
