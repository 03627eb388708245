"""Mechanical part of the rules for plain English, over docstrings, comments, messages, test names and documentation."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "bench").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
DOCUMENTS = [ROOT / "README.md", ROOT / "results" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPENINGS = re.compile(r"(What|Of|The same|Where|As|Whose|Within|Is|Are|Has|Need|All that)\b")
UNPLAIN = re.compile(
    r"\b(whoever|whatever it is|mends?|hangs? on|goes on|go on|going on|but for|no more\b(?! than)|anew|nobody|somebody"
    r"|told apart|can be told|cannot be told|as a rule|so many|stands in|it stands|lies in|lies beside|to hand"
    r"|(values?|rows?|figures?|nats|bits|FLOPs|draws|lines?|files?|pass(es)?|entry|process) an? "
    r"(position|word|step|head|run|round|cell|document|block|query|core|system|contender))\b"
)
RIDDLES = re.compile(r"test_(of|what|the_same|whose|where|as|that|who)_")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def docstrings(path: Path) -> list[str]:
    """Docstrings of a file's module, classes and functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return [
        text
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds) and (text := ast.get_docstring(node))
    ]


def comments(path: Path) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def messages(path: Path) -> list[str]:
    """Text of string literals that hold a space, f-strings included."""
    tree = ast.parse(path.read_text())
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in texts if " " in text.strip()]


@pytest.mark.parametrize("path", [path for path in SOURCES if "bench" in path.relative_to(ROOT).parts[0]], ids=ids)
def test_docstring_begins_with_what_a_thing_is_or_does(path):
    assert [text.splitlines()[0] for text in docstrings(path) if OPENINGS.match(text)] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if "bench" in path.relative_to(ROOT).parts[0]], ids=ids)
def test_sources_use_plain_words(path):
    texts = [*docstrings(path), *comments(path), *messages(path)]
    assert sorted({found.group() for text in texts for found in UNPLAIN.finditer(text)}) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_documentation_uses_plain_words(path):
    assert [found.group() for found in UNPLAIN.finditer(path.read_text())] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if path.stem.startswith("test_")], ids=ids)
def test_test_names_say_subject_and_condition(path):
    names = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    assert [name for name in names if RIDDLES.match(name)] == []
