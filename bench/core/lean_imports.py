"""Import torchmetrics, which Lightning needs for one base class, without the parts that plot or load transformers.

torchmetrics imports matplotlib, scipy.signal and transformers if these are installed: 1.5 s of each process. Nothing
here draws a metric or computes one of torchmetrics' text scores. The libraries themselves stay importable as usual.
"""

import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

ABSENT = ("matplotlib", "scipy", "transformers")  # to torchmetrics


class LeanLoader(importlib.abc.Loader):
    """Runs a module's own loader while the libraries in ABSENT seem not to be installed."""

    def __init__(self, loader: importlib.abc.Loader):
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with hidden():
            self.loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class LeanFinder(importlib.abc.MetaPathFinder):
    """Finds torchmetrics for its first import, and nothing else."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "torchmetrics":
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = LeanLoader(spec.loader)
        return spec


@contextmanager
def hidden() -> Iterator[None]:
    """Let the library that Lightning asks for installed packages find none of those in ABSENT."""
    from importlib.metadata import PackageNotFoundError

    from lightning_utilities.core import imports

    if not (hasattr(imports, "package_available") and hasattr(imports, "_version")):  # a version unlike today's
        yield
        return
    package_available, version = imports.package_available, imports._version

    def lean_version(name: str) -> str:
        if name in ABSENT:
            raise PackageNotFoundError(name)
        return version(name)

    imports.package_available = lambda name: name not in ABSENT and package_available(name)
    imports._version = lean_version
    try:
        yield
    finally:
        imports.package_available, imports._version = package_available, version


def install() -> None:
    """Arrange that the first import of torchmetrics in this process is lean."""
    if not any(isinstance(each, LeanFinder) for each in sys.meta_path):
        sys.meta_path.insert(0, LeanFinder())
