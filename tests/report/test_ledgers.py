"""Reading cost ledgers from folders."""

from pathlib import Path

import pytest
from factories.ledgers import CONTENDER_SIZES, sweep_ledgers

from bench.core.errors import SettingError
from bench.core.record import read_records
from bench.cost.schema import HeadLedger
from bench.report import ledgers, report


def test_published_ledgers_are_read(pytestconfig: pytest.Config):
    folder = pytestconfig.rootpath / "results" / "reference" / "cost_sweep"
    assert len(ledgers.load([folder])) == len([*folder.glob("*.json")]) > 0


def test_ledger_of_unknown_kind_is_one_line(tmp_path: Path):
    (tmp_path / "loops-0123abcd.json").write_text("{}")
    with pytest.raises(SettingError, match=r"loops-0123abcd.json: is no kind of ledger .*encoder"):
        ledgers.load([tmp_path])


def test_folder_with_records_and_ledgers_gives_each_to_its_reader(ledger_report: Path):
    assert [path.stem for path, _ in read_records([ledger_report])] == ["softmax-c-v1000-s0-0123abcd"]
    assert len(ledgers.load([ledger_report])) == len(CONTENDER_SIZES) + 1
    assert HeadLedger.read(ledger_report / "v1000-0123abcd.json") == sweep_ledgers()[0]


def test_broken_ledger_is_one_line(tmp_path: Path):
    path = tmp_path / "v1000-0123abcd.json"
    path.write_text('{"schema": 1}')
    with pytest.raises(SettingError, match=r"v1000-0123abcd.json: is not a ledger"):
        report([tmp_path], tmp_path)
