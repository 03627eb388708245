"""Data flows one way: a package imports from the packages above it, and no modules import each other in a circle."""

import ast
import functools
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bench
from bench.core.source_hash import FOLLOWED

PACKAGES = ("core", "data", "targets", "heads", "models", "evaluation", "training", "cost", "report", "dashboard")
COMMANDS = {
    "__init__", "__main__", "bundle", "cli", "diagnose", "generate", "gpu_reference", "pretrained", "run", "slurm",
    "export", "sweep", "verify", "wandb_upload",
}  # fmt: skip
READ_BY_REPORT = (
    "bench.core", "bench.report", "bench.cost.ledger", "bench.cost.schema", "bench.evaluation.intervals",
    "bench.evaluation.metric_definition", "bench.evaluation.metrics",
)  # fmt: skip
ROOT = Path(bench.__file__).parent


def name_of(path: Path) -> str:
    """bench/evaluation/score.py -> bench.evaluation.score"""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported(path: Path) -> set[str]:
    """Modules of this package that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    names = {name for name in names if name.startswith("bench.")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names}


def layer(module: str) -> int:
    """Index of a module's package; the commands come last."""
    package = module.split(".")[1] if module.count(".") else ""
    return PACKAGES.index(package) if package in PACKAGES else len(PACKAGES)


def test_top_level_holds_ten_packages_and_the_commands():
    assert {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(PACKAGES)
    assert {path.stem for path in ROOT.glob("*.py")} == COMMANDS


def test_wheel_holds_every_package():
    listed = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    packages = {".".join(path.parent.relative_to(ROOT.parent).parts) for path in ROOT.rglob("__init__.py")}
    assert packages | {"bench.conf"} == set(listed)


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_from_packages_above(module):
    assert {name for name in imported(MODULES[module]) if layer(name) > layer(module)} == set()


def test_imports_have_no_circle():
    assert len([*TopologicalSorter({name: imported(path) - {name} for name, path in MODULES.items()}).static_order()])


@functools.cache
def defined(path: Path) -> set[str]:
    """Names that a module itself assigns, or defines as functions and classes."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
    return names


# the code of FOLLOWED packages is hashed into records, imports included
@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith(FOLLOWED)])
def test_names_are_imported_from_the_module_that_defines_them(module):
    borrowed = {
        f"{alias.name} from {node.module}"
        for node in ast.walk(ast.parse(MODULES[module].read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in MODULES
        for alias in node.names
        if f"{node.module}.{alias.name}" not in MODULES and alias.name not in defined(MODULES[node.module])
    }
    assert borrowed == set()


@pytest.mark.parametrize("path", sorted((ROOT / "report").glob("*.py")), ids=lambda path: path.stem)
def test_report_reads_nothing_but_records(path):
    assert {name for name in imported(path) if not name.startswith(READ_BY_REPORT)} == set()


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.rglob("test_*.py")), ids=lambda path: path.stem)
def test_file_of_tests_imports_from_no_other(path):
    """What several of them build is in tests/factories and tests/conftest.py."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module)
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    assert {name for name in names if name.rpartition(".")[2].startswith(("test_", "conftest"))} == set()
