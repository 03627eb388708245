"""Tables -> the terminal: means alone, for errors and intervals do not fit."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from bench.report.cost_tables import Sheet
from bench.report.glossary import Entry
from bench.report.leaderboard import Figure, Table


def show(tables: list[Table | Sheet]) -> None:
    """Print every table, quality and then cost, each in as many parts as the terminal's width asks for."""
    console = Console()
    for table in tables:
        console.print(Text(f"\n{table.title}", "bold"))
        for columns in table.parts:
            for some in fitting(table, columns, console.width):
                console.print(grid(table, some))
        for row in table.rows:
            for failure in row.failures:
                console.print(Text(f"{row.label.removeprefix('× ')} {failure}", "red"))
        if any(figure.differs for row in table.rows for figure in row.figures.values()):
            console.print(Text(table.marks.rpartition(" · ")[2], "dim"))


def fitting(table: Table | Sheet, columns: list[Entry], room: int) -> Iterator[list[Entry]]:
    """Columns in parts, so that no number is cut short."""
    left = max(len(row.title) for row in table.rows) + 4  # with the table's edges
    part: list[Entry] = []
    for entry in columns:
        if part and left + sum(width(table, each) + 2 for each in [*part, entry]) > room:
            yield part
            part = []
        part.append(entry)
    yield part


def width(table: Table | Sheet, entry: Entry) -> int:
    """Of a column: headings break between words, numbers nowhere."""
    return max(map(len, [*entry.heading.split(), *(said(row.figures[entry.field]) for row in table.rows)]))


def said(figure: Figure) -> str:
    return f"{figure.mean} {figure.note}".strip()


def grid(table: Table | Sheet, columns: list[Entry]) -> Grid:
    drawn = Grid(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    drawn.add_column(table.first, no_wrap=True)
    for entry in columns:
        drawn.add_column(entry.heading, justify="right", width=width(table, entry))
    for row in table.rows:
        figures = [row.figures[entry.field] for entry in columns]
        styles = ["bold" if figure.leads else "dim" if row.kind else "" for figure in figures]
        drawn.add_row(Text(row.title), *map(Text, map(said, figures), styles))
    return drawn
