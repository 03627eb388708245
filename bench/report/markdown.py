"""Tables -> leaderboard.md."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from bench.core.files import write_atomically
from bench.report.cost_tables import Sheet
from bench.report.glossary import COST, QUALITY, Entry
from bench.report.leaderboard import Row, Table
from bench.report.significance import COMPARED, REFERENCE, Compared

READ = (
    "Bold leads among the trained systems; *italic* rows are floors and limits; × did not finish; – was not measured."
)

AGAINST = (
    f"System minus {REFERENCE}, paired on the same test documents: mean, 95 % interval, two-sided permutation p, not "
    "corrected for the number of comparisons. Where one was ranked on fewer words, both are compared on those. They "
    "speak of these trained models; ± above says what other seeds change. Bold: the interval excludes 0."
)


def write(tables: list[Table], path: Path, sheets: Sequence[Sheet] = ()) -> None:
    """Put the Markdown leaderboard in place, below its tables the sheets."""
    lines = ["# Leaderboard", "", READ, ""]
    named = len({table.budget for table in tables}) > 1
    for table in tables:
        title = f"{table.corpus}, V = {table.size:,}" + (f", {table.budget}" if named and table.budget else "")
        lines += [f"## {plain(title)}", "", plain(f"{table.facts} · {table.marks}"), ""]
        for columns in table.parts:
            lines += [*head("system", columns, "seeds"), *(line(row, columns) for row in table.rows), ""]
        if table.differences:
            lines += [f"### Differences to {REFERENCE}", "", AGAINST, "", *head("system", [*COMPARED])]
            for label, kind, found in table.differences:
                lines += [joined([named_row(label, kind), *map(difference, found)])]
            lines += [""]
    lines += [line for each in sheets for line in sheet(each)]
    lines += ["## What each number means", ""]
    lines += [meaning(entry) for entry in (*QUALITY, *COST)]
    write_atomically(path, lambda file: file.write(("\n".join(lines) + "\n").encode()))


def head(first: str, columns: list[Entry], *last: str) -> list[str]:
    headings = joined([first, *(entry.heading for entry in columns), *last])
    return [headings, joined([":--", *["--:"] * len(columns), *[":--"] * len(last)])]


def line(row: Row, columns: list[Entry]) -> str:
    figures = [row.figures[entry.field] for entry in columns]
    texts = [f"**{figure}**" if figure.leads else str(figure) for figure in figures]
    return joined([named_row(row.label, row.kind), *texts, " ".join([str(row.seeds), *map(plain, row.failures)])])


def sheet(each: Sheet) -> list[str]:
    lines = [f"### {each.title}", "", plain(each.how), "", *head(each.first, each.columns)]
    return [*lines, *(cost_line(row, each.columns) for row in each.rows), ""]


def cost_line(row: Row, columns: list[Entry]) -> str:
    """A row of a cost table; how it ended, where it did not end well."""
    figures = [row.figures[entry.field] for entry in columns]
    texts = [f"**{figure}**" if figure.leads else str(figure) for figure in figures]
    return joined([" ".join([named_row(row.label, row.kind), *map(plain, row.failures)]), *texts])


def named_row(label: str, kind: str) -> str:
    return f"*{plain(label)}* ({kind})" if kind else plain(label)


def difference(found: Compared) -> str:
    text = " ".join(part for part in (found.mean, found.ends, found.p) if part)
    return f"**{text}**" if found.told else text


def meaning(entry: Entry) -> str:
    source = f" Source: {entry.source}." if entry.source else ""
    words = f"({entry.unit}; {entry.better} is better): {entry.formula}. {entry.meaning}{source}"
    return f"- **{entry.title}** {plain(words)}"


def joined(parts: list[str]) -> str:
    return "| " + " | ".join(parts) + " |"


def plain(words: str) -> str:
    """Text that Markdown shows as it stands: no tag, no column break, no emphasis, no link."""
    return re.sub(r"([|*`\\\[\]])", r"\\\1", escape(" ".join(words.split()), quote=False))
