"""Print tables to the terminal: means alone, since errors and intervals do not fit."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from bench.evaluation.metric_definition import Column
from bench.report.table import Table, Value


def show(tables: list[Table]) -> None:
    """Print every table, split into as many grids as the terminal's width requires."""
    console = Console()
    for table in tables:
        console.print(Text(f"\n{table.title}", "bold"))
        if table.caption:
            console.print(Text(table.caption, "dim"))
        for part in table.parts:
            for columns in fitting(table, part.columns, console.width):
                console.print(grid(table, columns, console.width))
        for row in table.rows:
            for failure in row.failures:
                console.print(Text(f"{row.label.removeprefix('× ')} {failure}", "red"))


def fitting(table: Table, columns: list[Column], room: int) -> Iterator[list[Column]]:
    """Split columns so that no number is cut short."""
    left = label_width(table, room) + 4  # characters, with the table's edges
    chosen: list[Column] = []
    for column in columns:
        if chosen and left + sum(width(table, each) + 2 for each in [*chosen, column]) > room:
            yield chosen
            chosen = []
        chosen.append(column)
    yield chosen


def label_width(table: Table, room: int) -> int:
    """Return the width of the labels in characters: at most half of the terminal; a longer label is wrapped."""
    return min(max(len(row.title) for row in table.rows), room // 2)


def width(table: Table, column: Column) -> int:
    """Return a column's width in characters: headings break between words, numbers never."""
    numbers = (without_interval(row.values[column.name]) for row in table.rows)
    return max(map(len, [*column.heading_with_arrow.split(), *numbers]))


def without_interval(value: Value) -> str:
    """Return a value's mean and its note."""
    return f"{value.mean} {value.note}".strip()


def grid(table: Table, columns: list[Column], room: int) -> Grid:
    """Return some columns of a table as rich draws them."""
    drawn = Grid(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    drawn.add_column(table.label_heading, overflow="fold", width=label_width(table, room))
    for column in columns:
        drawn.add_column(column.heading_with_arrow, justify="right", width=width(table, column))
    for row in table.rows:
        values = [row.values[column.name] for column in columns]
        styles = ["bold" if value.leads else "dim" if row.kind else "" for value in values]
        drawn.add_row(Text(row.title), *map(Text, map(without_interval, values), styles))
    return drawn
