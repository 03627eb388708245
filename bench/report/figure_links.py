"""Find the figures of a Markdown text that name the records they come from.

A figure is a link: its title is a query (bench/report/figure_query.py), its target is in the folder of the records.

    InfoNCE needs [2.026](reference/vocab_sweep/leaderboard.md "bits_per_byte of system=infonce") bits per byte,
    softmax [2.069][softmax].

    [softmax]: reference/vocab_sweep/leaderboard.md "bits_per_byte of system=softmax vocabulary.size=20000"

In a table, the links of heading and row make the queries of the cells: the heading gives figure and records, the row
the settings. HTML comments are not read.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from bench.core.errors import SettingError
from bench.report.figure_query import Query, parse, settings

LINK = re.compile(
    r'(?<!!)\[(?P<printed>[^\[\]]*)\](?:\((?P<target>[^\s()]+) "(?P<query>[^"]+)"\)|\[(?P<label>[^\[\]]+)\])'
)

DEFINITION = re.compile(r'^\[(?P<label>[^\[\]]+)\]: (?P<target>\S+) "(?P<query>[^"]+)"$', re.MULTILINE)

CELL = re.compile(r"\|[ \t]*([^|\n]*?)[ \t]*(?=\|)")  # of a table

PASSAGES = re.compile(r"(\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) ))")  # between paragraphs, list items and tables

Definitions = Mapping[str, re.Match[str]]  # by label

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


class Link(NamedTuple):
    """Link with a query; its print is at `start` to `end` of the passage."""

    start: int
    end: int
    target: str
    query: str


class Place(NamedTuple):
    """Place of a figure in its passage: a link of its own, or one of its table's heading, and the row's settings."""

    link: Link
    row: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class PrintedFigure:
    """One figure as printed in a text; its passage is the paragraph, the list item or the table that holds it."""

    path: Path
    line: int
    start: int
    end: int
    printed: str
    written: str  # the query as written, with the settings of the row
    query: Query
    folder: Path  # of its records
    passage: str

    @property
    def name(self) -> str:
        return f"{self.path}:{self.line}: {self.written}"


def figures(path: Path, text: str) -> list[PrintedFigure]:
    """Find the figures of a text, in order.

    Args:
        path: of the text's file, from which its links lead.

    Raises:
        SettingError: a query cannot be read, or the rows of a table differ in their number of cells.
    """
    text = COMMENT.sub(lambda comment: re.sub(r"[^\n]", " ", comment.group()), text)
    defined = {each["label"]: each for each in DEFINITION.finditer(text)}
    found, begin = [], 0
    for passage in PASSAGES.split(text):
        is_table = passage.startswith("|")
        for link, row in table_places(passage, defined) if is_table else map(Place, links(passage, defined)):
            found.append(figure(path, text, begin, passage, link, row))
        begin += len(passage)
    return found


def figure(path: Path, text: str, begin: int, passage: str, link: Link, row: Mapping[str, str]) -> PrintedFigure:
    """Return the figure of a link in the passage that begins at `begin`."""
    start, end = begin + link.start, begin + link.end
    target = path.parent / link.target
    settings_of_row = " ".join(f"{key}={value}" for key, value in row.items())
    return PrintedFigure(
        path=path,
        line=text.count("\n", 0, start) + 1,
        start=start,
        end=end,
        printed=text[start:end],
        written=link.query + (f", in the row {settings_of_row}" if row else ""),
        query=parse(link.query, row),
        folder=Path(os.path.normpath(target.parent if target.suffix else target)),
        passage=passage,
    )


def links(text: str, defined: Definitions, begin: int = 0) -> Iterator[Link]:
    """Yield the links of a text that have a query; `begin` is the place of the text in its passage."""
    for link in LINK.finditer(text):
        source = defined.get(link["label"]) if link["label"] else link
        if source is not None:
            yield Link(begin + link.start("printed"), begin + link.end("printed"), source["target"], source["query"])


def table_places(table: str, defined: Definitions) -> Iterator[Place]:
    """Yield the places of a table's figures; a cell may be a link of its own.

    Raises:
        SettingError: a row has another number of cells than the heading.
    """
    heading, _, *body = table.splitlines(keepends=True)
    columns = [next(links(cell, defined), None) for cell in CELL.findall(heading)]
    begin = table.index("\n", len(heading)) + 1
    for line in body:
        label, *cells = CELL.finditer(line)
        if len(cells) != len(columns) - 1:
            problem = f"has {len(cells) + 1} cells in a table of {len(columns)} columns; give a cell per column"
            raise SettingError(line.strip()[:60], problem)
        named = next(links(label[1], defined), None)
        for cell, column in zip(cells, columns[1:], strict=True):
            start = begin + cell.start(1)
            if own := next(links(cell[1], defined, start), None):
                yield Place(own)
            elif named and column and cell[1]:
                yield Place(column._replace(start=start, end=begin + cell.end(1)), settings(named.query))
        begin += len(line)
