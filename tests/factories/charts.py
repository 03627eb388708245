"""Vega for the report's page, bundled by one process of a test session for all: bundling takes two seconds."""

import functools
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from bench.report import page_script


def shared_charts(folder: Path) -> Callable[[], str]:
    """Return a function that stands for `page_script.charts` and keeps its text in a folder."""
    bundle, path = page_script.charts, folder / "charts.js"

    @functools.cache
    def charts() -> str:
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                unfinished = path.with_suffix(".tmp")
                unfinished.write_text(bundle(), encoding="utf-8")
                unfinished.rename(path)
        return path.read_text(encoding="utf-8")

    return charts
