"""Hash of the code that a cell runs, so that a result of earlier code is recognised.

Only code counts: comments, docstrings and layout do not change the hash.
"""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

FOLLOWED = ("bench.data", "bench.targets", "bench.heads", "bench.models")  # packages that decide what a cell computes
LIBRARIES = ("hydra", "pytorch_lightning", "torch", "transformers")  # a record names their versions


def source_sha256(targets: Iterable[str]) -> str:
    """Hash the modules that define classes or functions, and the modules of the same kind that those import.

    Args:
        targets: dotted names as in `_target_`, such as `bench.heads.mse.MSEHead`. Modules of other packages are hashed
            if a target names them; what they import is not followed.

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
    """True if a module is a Python file and no part of a library whose version a record names."""
    if module.split(".")[0] in LIBRARIES:
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
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree), frozenset(imports(tree))


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of FOLLOWED packages that a syntax tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(FOLLOWED):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if has_source(inner) else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(FOLLOWED))
