r"""Write leaderboards as LaTeX tables for a paper, in the style of booktabs.

A paper loads `booktabs` and `graphicx` (tables wider than the text are scaled to its width) and includes the file with
\input.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.core.files import write_atomically
from bench.report.leaderboard import Leaderboard
from bench.report.table import Part, Table, TableRow, Value

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "]": "{]}",  # a row that begins with [ would be an option
}  # fmt: skip

SYMBOLS = {
    "−": "$-$", "–": "--", "±": r"$\pm$", "×": r"$\times$", "†": r"$^\dagger$", "↓": r"$\downarrow$",
    "↑": r"$\uparrow$", "∞": r"$\infty$", "·": r"$\cdot$", "²": "$^2$", "γ": r"$\gamma$", "≤": r"$\le$",
    "…": r"\dots{}", "“": "``", "”": "''",
}  # fmt: skip

SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"


def write(boards: Sequence[Leaderboard], path: Path) -> None:
    """Write every table of the leaderboards."""
    text = "\n\n".join(
        environment(table, part, label(path, i, j))
        for i, table in enumerate(table for board in boards for table in board.tables)
        for j, part in enumerate(table.parts)
    )
    write_atomically(path, lambda file: file.write(f"% \\usepackage{{booktabs,graphicx}}\n\n{text}\n".encode()))


def label(path: Path, table: int, part: int) -> str:
    """Return the name by which the paper refers to one part of a table."""
    return f"tab:{path.stem}-{table + 1}" + (f"-{part + 1}" if part else "")


def environment(table: Table, part: Part, name: str) -> str:
    """Return one part of a table as a floating table with its caption."""
    last = ["seeds"] if table.counts_seeds else []
    headings = [table.label_heading, *(column.heading_with_arrow for column in part.columns), *last]
    title = ", ".join(text for text in (table.title, part.title) if text)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(f'{title}. {table.caption}')}}}",
        rf"\label{{{name}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        r"\toprule",
        row_of([escaped(heading) for heading in headings]),
        r"\midrule",
        *body(table, part),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def body(table: Table, part: Part) -> list[str]:
    """Return the rows; a rule is above the first row that does not compete."""
    lines: list[str] = []
    for i, row in enumerate(table.rows):
        if row.kind and i and not table.rows[i - 1].kind:
            lines.append(r"\midrule")
        lines.append(row_of(texts(row, part, table.counts_seeds)))
    return lines


def texts(row: TableRow, part: Part, counts_seeds: bool) -> list[str]:
    """Return the escaped texts of one row; failures follow the label."""
    name = " ".join([row.label, *row.failures])
    start = rf"\textit{{{escaped(name)}}} ({row.kind})" if row.kind else escaped(name)
    values = [value_text(row.values[column.name]) for column in part.columns]
    return [start, *values, *([str(row.seeds)] if counts_seeds else [])]


def value_text(value: Value) -> str:
    """Return a figure with its mark, error, interval and note; bold if it leads."""
    mean = escaped(value.mean)
    mean = rf"\textbf{{{mean}}}" if value.leads else mean
    error = rf"{{\small $\pm$ {escaped(value.error)}}}" if value.error else ""
    small = [rf"{{\scriptsize {escaped(each)}}}" for each in (value.interval, value.note) if each]
    return " ".join(each for each in (mean, error, *small) if each)


def row_of(cells: Sequence[str]) -> str:
    """Return one row of a tabular."""
    return " & ".join(cells) + r" \\"


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is, with symbols as commands."""
    return re.sub(f"[{SUPERSCRIPTS}]+|.", lambda match: replacement(match[0]), " ".join(text.split()))


def replacement(text: str) -> str:
    """Return what LaTeX needs for one character, or for the digits of an exponent."""
    if text[0] in SUPERSCRIPTS:
        return f"$^{{{text.translate(str.maketrans(SUPERSCRIPTS, '0123456789'))}}}$"
    return SPECIAL.get(text) or SYMBOLS.get(text, text)
