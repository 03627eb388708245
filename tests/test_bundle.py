"""What is carried to a GPU machine: the packages that it lacks, within a size."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bench import bundle
from bench.core.errors import SettingError
from bench.core.provenance import PACKAGES, installed_versions

EVERY_COMMAND = "bench.cli, bench.run, bench.sweep, bench.gpu_reference, bench.report, bench.cost.head_sweep"
ROOT = Path(__file__).parents[1]
WITH_SOURCES = os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def fetched(monkeypatch) -> list[list[str]]:
    """The calls of pip, each of which leaves one wheel of 1 KiB per requirement."""
    calls = []

    def run(line: list[str], **_: object) -> subprocess.CompletedProcess:
        calls.append(line)
        folder = Path(line[line.index("--dest" if "--dest" in line else "--wheel-dir") + 1])
        for requirement in line[line.index(str(folder)) + 1 :]:
            (folder / f"{requirement}.whl").write_bytes(bytes(1024))
        return subprocess.CompletedProcess(line, 0, "", "")

    monkeypatch.setattr(bundle.subprocess, "run", run)
    return calls


def names(paths: list[Path], folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in paths}


def test_bundle_holds_each_package_once_and_the_files(fetched, tmp_path):
    text = tmp_path / "books"
    text.mkdir()
    (text / "one.txt").write_text("a b c")
    table = tmp_path / "table.safetensors"
    table.write_bytes(b"rows")
    folder = tmp_path / "build" / "gpu"
    folder.mkdir(parents=True)
    (folder / "earlier").touch()
    contents = bundle.bundle([table, text], ["scipy", "rich"], folder)
    carried = {*bundle.CARRIED, *bundle.ADDED} - {"scipy", "rich"}
    assert {path.name.partition("==")[0] for path in (folder / "wheels").iterdir()} == carried
    assert f"wheels/hydra-core=={importlib.metadata.version('hydra-core')}.whl" in names(contents, folder)
    assert {path.name for path in folder.iterdir()} == {"wheels", "table.safetensors", "books.tar.xz"}
    with tarfile.open(folder / "books.tar.xz") as archive:
        assert archive.extractfile("books/one.txt").read() == b"a b c"
    download, wheel = fetched
    assert {"--only-binary=:all:", "--no-deps", "3.12"} <= {*download} and wheel[3] == "wheel"
    assert not any("://" in argument for line in fetched for argument in line)  # no registry is named


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda folder: bundle.bundle([], ["torch"], folder),
            r"^--has: torch is not carried; choose one of hydra-core,",
        ),
        (lambda folder: bundle.bundle([folder / "no"], [], folder), r"^--file: .*no does not exist; give"),
        (
            lambda folder: bundle.bundle([], [], folder, most_mib=0.01),
            r"^--file: 0.0 MiB exceed 0 \(.*; pack fewer files",
        ),
    ],
)
def test_bundle_is_refused_in_one_line_and_nothing_is_left(fetched, tmp_path, make: Callable, line):
    folder = tmp_path / "gpu"
    with pytest.raises(SettingError, match=line):
        make(folder)
    assert [*tmp_path.iterdir()] == []


def test_failing_pip_is_one_line(monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: no such version\n")
    monkeypatch.setattr(bundle.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SettingError, match=r"^bench.bundle: pip download fails \(ERROR: no such version\); check"):
        bundle.bundle([], [], tmp_path / "gpu")


def test_source_tree_that_is_not_installed_records_the_other_versions(monkeypatch):
    found = importlib.metadata.version

    def version(name: str) -> str:
        if name == "head-bench":
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert {*installed_versions()} == {"python", *PACKAGES} - {"head-bench"}


def required(packages: set[str]) -> set[str]:
    """Return packages and all that they require, as installed here."""
    found: set[str] = set()
    pending = [*packages]
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name not in found:
            try:
                lines = importlib.metadata.requires(name) or []
            except importlib.metadata.PackageNotFoundError:
                continue
            found.add(name)
            requirements = map(Requirement, lines)
            pending += [each.name for each in requirements if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


LIMITED = """
import sys
from importlib.machinery import PathFinder

allowed = {*sys.argv[1:], *sys.stdlib_module_names}

class Limited(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        known = name.partition(".")[0] in allowed or name.startswith("_sysconfigdata")  # of the standard library
        return super().find_spec(name, path, target) if known else None

sys.meta_path[:] = [Limited if each is PathFinder else each for each in sys.meta_path]
"""


@pytest.mark.slow
def test_commands_start_with_no_package_but_those_on_the_machine_and_those_carried(tmp_path):
    distributions = required(set(bundle.PRESENT)) | {*bundle.CARRIED}
    owners = importlib.metadata.packages_distributions()
    modules = [
        module
        for module, names in owners.items()
        if distributions & {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    ]
    code = f"{LIMITED}\nimport {EVERY_COMMAND}\nprint('started')"
    command = [sys.executable, "-c", code, "bench", *modules]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=WITH_SOURCES, check=False)
    assert done.stdout == "started\n", done.stderr
