"""Results of other code: the command says so and keeps them, and stale=rerun makes them again."""

import dataclasses
import json
from pathlib import Path

import pytest
from factories.configurations import TREE
from hydra import initialize_config_dir

from bench.core.record import Record
from bench.cost.earlier_rows import has_other_code, head_identities
from bench.cost.schema import HeadLedger, HeadRow
from bench.report import leaderboard, run_table

HEAD = """
from bench.heads.softmax import SoftmaxHead


class Mine(SoftmaxHead):
    margin = 1
"""

SETTINGS = [
    "system.head._target_=my_head.Mine", "corpus=text", "corpus.path=text.txt", "vocabulary.size=100", "trainer=cpu",
    "backbone.trunk.hidden_size=8", "budget.words=500", "batch.streams=2", "batch.steps=8", "logger=none",
    "evaluation.validation_words=500", "evaluation.test_words=500", "evaluation.calibration_words=100",
    "generation.words=1", "generation.prompts=[the]",
]  # fmt: skip


def only_record(folder: Path) -> Path:
    [path] = (folder / "results" / "single").glob("Mine-*.json")
    return path


@pytest.mark.slow
def test_cell_of_an_edited_head_is_kept_with_a_line_and_run_again_on_demand(place, forked):
    head = place / "my_head.py"
    head.write_text(HEAD)
    first = forked(place, *SETTINGS)
    assert first.returncode == 0, first.stderr
    before = Record.read(only_record(place))
    headings, figures, path, *_, report = first.stdout.splitlines()
    assert headings.split() == ["accuracy@1", "bits", "per", "byte", "training", "seconds"]
    expected = f"{before.accuracy_at_1:.4f} {before.bits_per_byte:.4f} {before.train_seconds:,.1f}"
    assert " ".join(figures.split()) == expected and len(figures) == len(headings)
    assert place / path.removeprefix("result: ") == only_record(place)
    assert report == "tables and figures: python -m bench.report results/single"
    assert len(before.source_sha256) == 64

    head.write_text(f'"""Commented."""{HEAD}  # one\n')
    unchanged = forked(place, *SETTINGS)
    assert "skipped" in unchanged.stderr and "other code" not in unchanged.stderr

    head.write_text(HEAD.replace("1", "2"))
    kept = forked(place, *SETTINGS)
    name = only_record(place).stem
    assert f"{name}: made by other code; stale=rerun runs it again\n" in kept.stderr
    assert kept.returncode == 0 and "skipped" in kept.stderr and kept.stdout == first.stdout
    assert Record.read(only_record(place)) == before

    only_record(place).unlink()  # the weights remain
    loaded = forked(place, *SETTINGS)
    assert ".safetensors: made by other code; stale=rerun runs it again\n" in loaded.stderr
    assert Record.read(only_record(place)).source_sha256 == before.source_sha256

    again = forked(place, *SETTINGS, "stale=rerun")
    assert again.returncode == 0 and f"{name}: made by other code; it runs again" in again.stderr
    after = Record.read(only_record(place))
    assert after.source_sha256 not in (None, before.source_sha256)
    assert after.train_seconds != before.train_seconds  # trained again
    assert "other code" not in forked(place, *SETTINGS, "stale=rerun").stderr

    older = json.loads(only_record(place).read_text())
    del older["source_sha256"]  # as records were before that field
    only_record(place).write_text(json.dumps(older))
    assert "other code" not in forked(place, *SETTINGS).stderr


@pytest.fixture
def tree():
    """Hydra as a job finds it."""
    with initialize_config_dir(str(TREE), version_base="1.3"):
        yield


def test_head_ledger_notices_an_uncommitted_edit_of_a_head(tree, monkeypatch):
    identities = head_identities()
    rows = [
        HeadRow(contender=name, part="head", vocabulary_size=1000, identity=identities.get(name))
        for name in ("softmax", "mse", "peer:linear")
    ]
    ledger = HeadLedger(
        experiment="cost_sweep", device="cpu", precision="fp32", threads=1, rounds=1, rows=rows, config={}, versions={},
        git_commit=None, finished_at="2026-01-01T00:00:00+00:00", vocabulary_size=1000, positions=10, hidden_size=8,
        target_size=8, peak_gflops=[],
    )  # fmt: skip
    assert not has_other_code(ledger)
    monkeypatch.setattr("bench.cost.earlier_rows.source_sha256", lambda targets: "f" * 64)
    assert head_identities()["mse"] == identities["mse"].partition("-")[0] + "-ffffffff"
    assert has_other_code(ledger)
    rows = [dataclasses.replace(row, identity=row.identity and row.identity.partition("-")[0]) for row in ledger.rows]
    assert not has_other_code(dataclasses.replace(ledger, rows=rows))  # unknown sources


def test_table_of_records_of_several_commits_names_these():
    shared = {"experiment": "e", "system": "softmax", "head": None, "backbone": "lstm", "corpus": "c"}
    records = [
        Record(**shared, vocabulary_size=1000, seed=seed, config={"system": {"kind": "classifier"}}, git_commit=commit)
        for seed, commit in enumerate(("a" * 40, "b" * 40, "a" * 40, None))
    ]
    runs = run_table.runs(records)
    assert "records of 2 git commits (aaaaaaa, bbbbbbb)" in leaderboard.facts(runs)
    assert "commits" not in leaderboard.facts(run_table.runs(records[::2]))
