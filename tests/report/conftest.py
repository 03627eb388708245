"""Reports that several test files read."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from factories.charts import shared_charts
from factories.ledgers import encoder_ledger, sweep_ledgers
from factories.records import partial_record, sweep_records, write_all

from bench.core.record import write_record
from bench.report import cost_report, page_script, report
from bench.report.ledgers import Section


@pytest.fixture(scope="session", autouse=True)
def charts(shared: Path) -> Iterator[None]:
    """Bundle the page's library for figures once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_script, "charts", shared_charts(shared))
        yield


@pytest.fixture(scope="session")
def sweep_report(built_once: Callable[..., Path]) -> Path:
    """Folder of the synthetic sweep and its report, with a generation that tries to run in the reader's browser."""

    def build(out: Path) -> None:
        first, *others = sweep_records()
        hostile = [{"prompt": "<b>p</b>", "greedy": "<script>alert(1)</script>", "sampled": '"><img src=//evil.test>'}]
        first_of_all = dataclasses.replace(first, generations=hostile, vocabulary_size=20000, seed=-1)
        write_all([first_of_all, first, *others], out)
        report([out], out)

    return built_once("sweep_report", build)


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """Rows of the synthetic head ledgers."""
    return cost_report.rows(sweep_ledgers())


@pytest.fixture(scope="session")
def section() -> Section:
    """Section of the report about the synthetic head ledgers."""
    (only,) = cost_report.sections([*sweep_ledgers(), encoder_ledger()])
    return only


@pytest.fixture(scope="session")
def ledger_report(built_once: Callable[..., Path]) -> Path:
    """Folder of synthetic ledgers, one record, and their report."""

    def build(folder: Path) -> None:
        for each in sweep_ledgers():
            each.write(folder / f"v{each.vocabulary_size}-0123abcd")
        encoder_ledger().write(folder / "encoder-0123abcd")
        write_record(partial_record(bits_per_byte=2.0), folder / "softmax-c-v1000-s0-0123abcd")
        report([folder], folder)

    return built_once("ledger_report", build)
