"""Tables of a search's trials, ranked by validation."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.record import Record, write_record
from bench.report import report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of three trials, the best on test the worst on validation, and of one that diverged."""
    config = {"trial": 0, "optimizer": {"lr": 0.01}, "budget": {"words": 1000, "seconds": None}}
    known = {"experiment": "tune", "system": "softmax", "head": None, "backbone": "lstm", "corpus": "wiki"}
    record = Record(**known, vocabulary_size=5000, seed=0, config=config, train_seconds=2.0)
    for trial, nats in enumerate((7.25, 7.5, 7.375)):
        settings = {**config, "trial": trial, "optimizer": {"lr": 0.01 * (trial + 1)}}
        measured = replace(record, config=settings, validation_nats=nats, bits_per_byte=9 - nats)
        write_record(measured, tmp_path / f"softmax-{trial}")
    write_record(
        replace(record, config={**config, "optimizer": {"lr": 1.0}}, status="diverged", reason="no"), tmp_path / "x"
    )
    return tmp_path


def test_trials_are_ranked_by_validation(folder: Path, capsys: pytest.CaptureFixture[str]):
    report([folder], folder)
    rows = [line for line in (folder / "tuning.md").read_text().splitlines() if line.startswith("| optimizer")]
    settings = [row.split(" | ")[0].removesuffix(" × diverged") for row in rows]
    assert settings == [f"| optimizer.lr={lr}" for lr in ("0.01", "0.03", "0.02", "1.0")]
    assert rows[0].endswith("| 7.250 | 2.00 |") and "× diverged" in rows[-1]
    assert not (folder / "leaderboard.md").exists()
    assert "softmax (optimizer.lr=0.01): 7.2500" in capsys.readouterr().out


def test_trials_are_left_out_of_the_leaderboard(folder: Path):
    other = Record(
        experiment="s", system="softmax", head=None, backbone="lstm", corpus="wiki", vocabulary_size=5000, seed=0
    )
    write_record(
        replace(other, bits_per_byte=1.875, config={"budget": {"words": 9, "seconds": None}}), folder / "other"
    )
    report([folder], folder)
    board = (folder / "leaderboard.md").read_text()
    assert "1.875" in board and "0.03" not in board


def test_trials_of_other_sizes_and_seeds_are_ranked_apart(folder: Path):
    first = Record.read(folder / "softmax-0.json")
    write_record(replace(first, vocabulary_size=20000, validation_nats=7.0), folder / "large")
    report([folder], folder)
    text = (folder / "tuning.md").read_text()
    assert "## softmax, V = 5,000" in text and "## softmax, V = 20,000" in text
    of_large = text.partition("## softmax, V = 20,000")[2].partition("##")[0]
    assert "| 7.000 | 2.00 |" in of_large and "7.250" not in of_large
