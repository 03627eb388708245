"""Hash of the code that a cell runs, so that a result of earlier code is recognised.

Only code counts: comments, docstrings and layout do not change the hash, nor does the version of Python.
"""

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FOLLOWED = ("bench.data", "bench.targets", "bench.heads", "bench.models")  # packages that decide what a cell computes
LIBRARIES = ("hydra", "pytorch_lightning", "torch", "transformers")  # a record names their versions
KEPT, RERUN = "stale=rerun runs it again", "it runs again (stale=rerun)"  # ends of the line about such a result
WORD_MODEL = "bench.models.word_model.WordModel"  # joins trunk and head


def cell_sha256(config: dict[str, Any]) -> str:
    """Return the hash of the sources that a cell uses: corpus, and model or trunk, head, word model and targets.

    Args:
        config: resolved configuration of a cell.
    """
    system = config["system"]
    used = [config["corpus"]["source"], system]
    if "head" in system:
        used += [config["backbone"]["trunk"], {"_target_": WORD_MODEL}]
        used += [config["targets"]] if config["inputs"] == "contextual" else []
    return source_sha256(called_targets(used))


def called_targets(config: Any) -> Iterator[str]:
    """Yield every `_target_` in a configuration, and the path of every class that `get_class` returns."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield config["_target_"]
        if config.get("_target_") == "hydra.utils.get_class":
            yield config["path"]
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from called_targets(value)


def made_by_other_code(earlier: str | None, config: dict[str, Any]) -> bool:
    """True if an earlier result of a cell was made by other sources; False if its hash is unknown (None)."""
    return earlier is not None and earlier != cell_sha256(config)


def source_sha256(targets: Iterable[str]) -> str:
    """Hash the modules that define the targets, and all modules of FOLLOWED packages that these import, indirectly too.

    Args:
        targets: dotted names as in `_target_`, such as `bench.heads.mse.MSEHead`. Modules of other packages are hashed
            only if a target names them.

    Returns:
        Hexadecimal sha256.
    """
    pending = {module for target in targets if (module := module_of(target)) is not None}
    code: dict[str, str] = {}
    while pending:
        module = pending.pop()
        code[module], imported = read_module(module)
        pending |= {name for name in imported if name.startswith(FOLLOWED)} - code.keys()
    return hashlib.sha256("\n".join(f"{module} {code[module]}" for module in sorted(code)).encode()).hexdigest()


def module_of(target: str) -> str | None:
    """Return the module that defines a dotted name; None for a library's or a built-in one."""
    parts = target.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if has_source(name):
            return name
    return None


def has_source(module: str) -> bool:
    """True if a module is a Python file, and no part of Python or of a library whose version a record names."""
    if module.split(".")[0] in (*LIBRARIES, *sys.stdlib_module_names):
        return False
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return False
    return bool(found and found.origin and found.origin.endswith(".py"))


@functools.cache
def read_module(module: str) -> tuple[str, frozenset[str]]:
    """Return a module's code without docstrings, and the modules that it imports."""
    tree = ast.parse(Path(importlib.util.find_spec(module).origin).read_bytes())
    for node in ast.walk(tree):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return repr(syntax(tree)), frozenset(imports(tree))


def syntax(node: Any) -> Any:
    """Return a syntax tree as nested lists without empty fields: versions of Python differ in which fields exist."""
    if isinstance(node, list):
        return [syntax(each) for each in node]
    if not isinstance(node, ast.AST):
        return node
    return [type(node).__name__, *([name, syntax(value)] for name, value in ast.iter_fields(node) if value != [])]


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of FOLLOWED packages that a syntax tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(FOLLOWED):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if has_source(inner) else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(FOLLOWED))
