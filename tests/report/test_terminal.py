"""Tables on terminals."""

import pytest
from factories.records import partial_record, sweep_records

from bench.report import leaderboard, run_table, terminal


def test_narrow_terminal_cuts_no_number_short(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    runs = run_table.runs(sweep_records())
    terminal.show([board.systems for board in leaderboard.leaderboards(runs, run_table.cells(runs))])
    out = capsys.readouterr().out
    assert "…" not in out
    assert all(len(line) <= 60 for line in out.splitlines())


def test_labels_that_differ_in_a_long_class_path_leave_room_for_several_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    package = "a_package_of_another_project_with_a_long_name.experimental.output_heads"
    figures = {"bits_per_byte": 2.0, "accuracy_at_1": 0.2, "calibrated_accuracy_at_1": 0.2, "brier": 0.1}
    for names in (["FirstHead", "SecondHead"], ["first.Head", "second.Head"]):  # short labels; labels that would agree
        heads = [{"system": {"head": {"_target_": f"{package}.{name}"}}} for name in names]
        runs = run_table.runs([partial_record(config=config, **figures) for config in heads])
        terminal.show([board.systems for board in leaderboard.leaderboards(runs, run_table.cells(runs))])
        out = capsys.readouterr().out
        assert len([line for line in out.splitlines() if "────" in line]) == 1
        assert all(len(line) <= 80 for line in out.splitlines())
        assert all(name.rpartition(".")[2] in out for name in names)
