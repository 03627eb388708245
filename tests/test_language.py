"""Mechanical part of the rules for plain English, over docstrings, comments, messages, test names and documentation."""

import ast
import io
import re
import tokenize
from collections.abc import Callable
from functools import cache
from pathlib import Path

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
RIDDLES = re.compile(r"^ *def (test_(?:of|what|the_same|whose|where|as|that|who)_\w*)", re.MULTILINE)


def in_bench() -> list[Path]:
    return [path for path in SOURCES if path.is_relative_to(ROOT / "bench")]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def docstrings(path: Path) -> list[str]:
    """Docstrings of a file's module, classes and functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]
    return [text for node in nodes if (text := ast.get_docstring(node))]


def comments(path: Path) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def messages(path: Path) -> list[str]:
    """Text of string literals that hold a space, f-strings included."""
    nodes = ast.walk(tree(path))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in texts if " " in text.strip()]


def offences(paths: list[Path], find: Callable[[Path], list[str]]) -> dict[str, list[str]]:
    """Return what is found in each file in which anything is found."""
    return {str(path.relative_to(ROOT)): found for path in paths if (found := find(path))}


def unplain(texts: list[str]) -> list[str]:
    return sorted({found.group() for text in texts for found in UNPLAIN.finditer(text)})


def test_docstring_begins_with_what_a_thing_is_or_does():
    assert offences(in_bench(), lambda path: [text for text in docstrings(path) if OPENINGS.match(text)]) == {}


def test_sources_use_plain_words():
    assert offences(in_bench(), lambda path: unplain([*docstrings(path), *comments(path), *messages(path)])) == {}


def test_documentation_uses_plain_words():
    assert offences(DOCUMENTS, lambda path: unplain([path.read_text()])) == {}


def test_test_names_say_subject_and_condition():
    paths = [path for path in SOURCES if path.stem.startswith("test_")]
    assert offences(paths, lambda path: RIDDLES.findall(path.read_text())) == {}
