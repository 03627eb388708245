"""Write tables as Markdown."""

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from bench.core.files import write_atomically
from bench.evaluation.metric_definition import Column
from bench.report.table import Part, Table, TableRow


def write_document(path: Path, title: str, lines: Iterable[str], columns: Iterable[Column] = ()) -> None:
    """Write a document atomically: title, lines, and the definitions of `columns`."""
    text = [f"# {title}", "", *lines]
    definitions = [definition(column) for column in columns]
    if definitions:
        text += ["## What each number means", "", *definitions]
    write_atomically(path, lambda file: file.write(("\n".join(text) + "\n").encode()))


def table_lines(table: Table, level: int = 3) -> list[str]:
    """Return a table under its heading: caption, parts, notes."""
    lines = [f"{'#' * level} {plain(table.title)}", ""]
    lines += [plain(table.caption), ""] if table.caption else []
    for part in table.parts:
        drawn = part_lines(table, part)
        if part.is_folded:
            drawn = [f"<details><summary>{plain(part.title)}</summary>", "", *drawn, "</details>", ""]
        lines += drawn
    for note in table.notes:
        lines += [f"- {plain(note)}"]
    return [*lines, ""] if table.notes else lines


def part_lines(table: Table, part: Part) -> list[str]:
    """Return one part of a table as Markdown."""
    last = ["seeds"] if table.counts_seeds else []
    headings = [table.label_heading, *(column.heading_with_arrow for column in part.columns), *last]
    alignment = [":--", *["--:"] * len(part.columns), *[":--"] * len(last)]
    return [joined(headings), joined(alignment), *(row_line(row, part, table.counts_seeds) for row in table.rows), ""]


def row_line(row: TableRow, part: Part, counts_seeds: bool) -> str:
    """Return one row: its failures follow the number of seeds, or the label."""
    values = [row.values[column.name] for column in part.columns]
    texts = [f"**{value}**" if value.leads else str(value) for value in values]
    label = f"*{plain(row.label)}* ({row.kind})" if row.kind else plain(row.label)
    failures = [*map(plain, row.failures)]
    if counts_seeds:
        return joined([label, *texts, " ".join([str(row.seeds), *failures])])
    return joined([" ".join([label, *failures]), *texts])


def definition(column: Column) -> str:
    """Return a column's definition as a list item."""
    source = f" Source: {column.source}." if column.source else ""
    better = "" if column.direction == "neither" else f"; {column.direction} is better"
    words = f"({column.unit}{better}): {column.definition}. {column.meaning}{source}"
    return f"- **{column.heading}** {plain(words)}"


def joined(parts: list[str]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(parts) + " |"


def plain(words: str) -> str:
    """Escape text so that Markdown shows it literally: no tag, column break, emphasis or link."""
    return re.sub(r"([|*`\\\[\]])", r"\\\1", escape(" ".join(words.split()), quote=False))
