"""The report as a command."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from factories.records import partial_record, write_all

from bench.core.errors import SettingError
from bench.report import report


def test_report_of_no_records_is_one_line(tmp_path: Path, forked: Callable[..., subprocess.CompletedProcess]):
    with pytest.raises(SettingError, match=r"^folders: no records below .*; run a sweep first"):
        report([tmp_path], tmp_path)
    run = forked(tmp_path, str(tmp_path), module="bench.report")
    assert run.returncode == 2
    assert run.stderr.startswith("folders: no records below")
    assert run.stderr.count("\n") == 1


def test_report_prints_the_path_of_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_all([partial_record(bits_per_byte=2.0)], tmp_path / "records")
    report([tmp_path / "records"], tmp_path / "out")
    page = tmp_path / "out" / "index.html"
    assert capsys.readouterr().out.endswith(f"\nreport: {page}\n")
    assert page.is_file()
