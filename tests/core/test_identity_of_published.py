"""Golden test: every published record and cost ledger is named by what its configuration hashes to."""

import json
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from bench.core.environment import config_dir
from bench.core.history import current
from bench.core.identity import identity
from bench.core.job import job_of
from bench.core.record import LEDGER

PUBLISHED = sorted((Path(__file__).parents[2] / "results" / "reference").glob("*/*.json"))
LEDGERS = [path for path in PUBLISHED if LEDGER.fullmatch(path.stem)]
RECORDS = [path for path in PUBLISHED if not LEDGER.fullmatch(path.stem)]


def config_of(path: Path) -> dict:
    return json.loads(path.read_text())["config"]


def test_records_and_ledgers_are_published():
    assert len(RECORDS) >= 254
    assert len(LEDGERS) >= 16


def test_published_records_name_no_folder_of_one_machine():
    assert [path for path in PUBLISHED if config_of(path)["cache_dir"].startswith("/")] == []


def test_published_records_keep_their_names():
    assert [path for path in RECORDS if identity(config_of(path)) != path.stem] == []


def test_published_records_keep_their_names_under_the_class_names_of_today():
    assert [path for path in RECORDS if identity(current(config_of(path))) != path.stem] == []


@pytest.mark.parametrize("path", LEDGERS, ids=lambda path: path.stem)
def test_published_ledgers_keep_their_names(path: Path):
    config = current(config_of(path))
    with initialize_config_dir(config_dir(), version_base="1.3"):
        assert job_of(config).record_stem(config).name == path.stem
