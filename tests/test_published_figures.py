"""Every figure of the published texts is the one that the published records give."""

import re
from functools import cache
from pathlib import Path

import pytest

from bench.report.figure_links import COMMENT, DEFINITION, LINK, PrintedFigure, figures
from bench.report.published import corrected_p, reprinted, with_copies

ROOT = Path(__file__).parents[1]
TEXTS = [ROOT / "results" / "README.md", ROOT / "README.md"]
MEASURED = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+| ?(?:%|ms|s|MiB|points|bits|times)(?!\w))")
CONVENTIONS = {"95 %"}  # numbers with a unit that no record gives: the level of intervals


@cache
def figures_of(path: Path) -> list[PrintedFigure]:
    return figures(path, path.read_text())


@cache
def p_values(path: Path) -> dict[tuple[Path, str], float]:
    return corrected_p(figures_of(path))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_figures_are_those_of_their_records(path):
    """`python -m bench.report --fill results/README.md README.md` prints the figures again."""
    again = [
        (figure, reprinted(figure, p_values(path).get((figure.folder, figure.written)))) for figure in figures_of(path)
    ]
    assert len(again) > 20
    changed = [(figure, now) for figure, now in again if figure.printed != now]
    assert [(figure.line, figure.written, figure.printed, now) for figure, now in changed] == []


def test_answer_of_the_readme_is_that_of_the_results():
    text = (ROOT / "README.md").read_text()
    assert text == with_copies(ROOT / "README.md", text)
    assert "<!-- copy results/README.md answer -->" in text


def unlinked(text: str) -> str:
    """Text without code, comments, pictures, definitions, figures, and tables whose rows and columns have queries."""
    for pattern in (COMMENT, re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL), DEFINITION, LINK):
        text = pattern.sub("", text)
    return "\n".join(line for line in text.splitlines() if not line.startswith("|"))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_measured_numbers_have_links(path):
    text = path.read_text().partition("## Run it")[0]  # the rest of the README says how to run
    assert [found for found in MEASURED.findall(unlinked(text)) if found not in CONVENTIONS] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_numbers_in_tables_have_queries(path):
    printed = {(figure.line, figure.printed) for figure in figures_of(path)}
    text = COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), path.read_text())
    cells = [
        (number, cell.strip())
        for number, line in enumerate(text.partition("## Run it")[0].splitlines(), start=1)
        for cell in line.split("|")[2:-1]
    ]
    numbers = [(number, cell) for number, cell in cells if re.fullmatch(r"[−+]?[\d.,]+( to [−+]?[\d.,]+)?", cell)]
    assert len(numbers) > 20
    assert [cell for cell in numbers if cell not in printed] == []
