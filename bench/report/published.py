"""Print the figures of a Markdown text again from the records that they name (bench/report/figure_links.py).

A number keeps its printed decimals; write `?` in place of a number that has not been printed yet.

A text may copy a passage of another text with its links: `<!-- copy results/README.md answer -->` … `<!-- end -->`
holds all that is between `<!-- begin answer -->` and `<!-- end -->` there.
"""

import contextlib
import os
import re
from pathlib import Path

from bench.core.errors import SettingError
from bench.core.files import write_atomically
from bench.report.figure_links import PrintedFigure, figures
from bench.report.figure_query import Query
from bench.report.figure_sides import FigureValue
from bench.report.figure_values import figure_value
from bench.report.glossary import COLUMNS
from bench.report.number_format import NULL, exponent, p_text, signed, warranted_decimals
from bench.report.paired_test import holm

NUMBER = re.compile(r"[+−-]?\d[\d,]*(?:\.\d+)?|\?")

P_VALUE = re.compile(r"p [<=] \.\d+|\?")

COPY = re.compile(r"(?P<begin><!-- copy (?P<source>\S+) (?P<name>\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)

# target of a link, of a picture or of a reference, which begins its line, unless it is an address
TARGET = re.compile(r"(\]\(|^\[[^\]]+\]: )(?![a-z]+:|#)([^\s()]+)", re.MULTILINE)

FEWEST = 3  # seeds behind a figure whose passage does not have to say their number

COUNTS = {1: "one seed", 2: "two seeds"}


def reprinted(found: PrintedFigure, p: float | None = None) -> str:
    """Return a figure's text with the numbers that the records give.

    Args:
        p: corrected for the number of comparisons in the text; for a figure that is a p.

    Raises:
        SettingError: the records do not have the figure, rest on fewer seeds than the passage says, or give another
            number of numbers than is printed.
    """
    try:
        result = figure_value(found.query, found.folder)
        check_seeds(found, result)
        return printed_again(found, result, p)
    except SettingError as error:
        if found.printed == NULL:  # a table's cell without a figure
            return NULL
        raise SettingError(found.name, str(error)) from None


def printed_again(found: PrintedFigure, result: FigureValue, p: float | None) -> str:
    """Return the printed text with other numbers."""
    if found.query.form == "best":
        return result.text
    if found.query.form == "p":
        value = result.numbers[0] if p is None else p
        return P_VALUE.sub(p_text(value), found.printed)
    numbers = list(result.numbers)
    if found.printed == "?":
        return " to ".join(signed(each, warranted(numbers, found.query), "") for each in numbers)
    if len(NUMBER.findall(found.printed)) != len(numbers):
        raise SettingError(found.printed, f"is not {len(numbers)} numbers; print ? for a new figure")
    return NUMBER.sub(lambda number: as_before(numbers.pop(0), number.group(), found.query), found.printed)


def as_before(value: float, old: str, query: Query) -> str:
    """Print a number with the decimals of the number that was printed before, and with a sign if that had one."""
    decimals = warranted([value], query) if old == "?" else len(old.partition(".")[2])
    return signed(value, decimals, "+" if old[0] in "+−-" else "")


def warranted(numbers: list[float], query: Query) -> int:
    """Return the decimals of a figure that was never printed: by its column, or by the width of an interval."""
    if len(numbers) == 2:
        return warranted_decimals(*numbers)
    digits = COLUMNS[query.figure].digits if query.figure in COLUMNS else 3
    return max(0, digits - 1 - exponent(numbers[0], digits)) if numbers[0] else 0


def check_seeds(found: PrintedFigure, result: FigureValue) -> None:
    """Check that the passage says so if a figure rests on fewer than three seeds.

    Raises:
        SettingError: it does not.
    """
    if result.seeds is None or result.seeds >= FEWEST:
        return
    words = COUNTS.get(result.seeds, "no seed")
    if words not in " ".join(found.passage.casefold().split()):
        raise SettingError(found.printed, f"rests on {words}; say “{words}” in its paragraph, list item or table")


def corrected_p(found: list[PrintedFigure]) -> dict[tuple[Path, str], float]:
    """Return every p of a text by its folder and query, corrected for their number by Holm's method.

    A p that cannot be computed is left out: printing it says why.
    """
    values = {}
    for each in found:
        if each.query.form == "p":
            with contextlib.suppress(SettingError):
                [values[each.folder, each.written]] = figure_value(each.query, each.folder).numbers
    return dict(zip(values, holm([*values.values()]), strict=True))


def fill(path: Path) -> tuple[list[str], list[str]]:
    """Copy the passages of other texts into a text, and print its figures again from the records.

    Returns:
        A line per changed figure, and a line per figure that could not be computed, which stays as it was.

    Raises:
        SettingError: a query cannot be read, or a passage is missing; nothing was written.
    """
    before = path.read_text(encoding="utf-8")
    text = with_copies(path, before)
    found = figures(path, text)
    p_values = corrected_p(found)
    changes, problems = [], []
    for each in reversed(found):
        try:
            new = reprinted(each, p_values.get((each.folder, each.written)))
        except SettingError as error:
            problems.insert(0, str(error))
            continue
        if new != each.printed:
            changes.insert(0, f"{path}:{each.line}: {each.printed} -> {new} ({each.written})")
        text = text[: each.start] + new + text[each.end :]
    if text != before:
        write_atomically(path, lambda file: file.write(text.encode()))
    return changes, problems


def with_copies(path: Path, text: str) -> str:
    """Return a text with its copied passages as they are in the other texts.

    Raises:
        SettingError: there is no such text or passage.
    """
    return COPY.sub(lambda place: place["begin"] + passage_of(path, place["source"], place["name"]), text)


def passage_of(path: Path, source: str, name: str) -> str:
    """Return a named passage of another text, with its links as seen from `path`.

    Raises:
        SettingError: there is no such text or passage.
    """
    other = path.parent / source
    begin, end = f"<!-- begin {name} -->\n", "<!-- end -->"
    text = other.read_text(encoding="utf-8") if other.is_file() else ""
    _, found, rest = text.partition(begin)
    if not found or end not in rest:
        raise SettingError(str(other), f"has no passage between <!-- begin {name} --> and {end}; add it")
    there = os.path.relpath(other.parent, path.parent)
    return TARGET.sub(lambda link: link[1] + os.path.normpath(f"{there}/{link[2]}"), rest.partition(end)[0])
