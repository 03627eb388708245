"""Runs of cells and of experiments, read back from disk: groups, tags, axes, summaries, tables, one run per cell."""

from pathlib import Path
from typing import Any

import pytest
from factories.experiments import write_experiments
from factories.offline_runs import columns_of, entries, offline_runs, summary_of
from factories.records import partial_record

from bench.core.record import read_records, write_record
from bench.dashboard import summary
from bench.dashboard.content import contents
from bench.dashboard.summary import log_summary
from bench.training.cell_logger import STEP_METRICS


@pytest.fixture(scope="module")
def starts(uploaded) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Folder and first entry of every run, by its name."""
    found = {}
    for run in offline_runs(uploaded):
        [start] = entries(run, "run")
        found[start["display_name"]] = (run, start)
    return found


def test_each_cell_has_one_run_in_the_group_of_its_experiment(uploaded, starts):
    cells = {path.stem: record for path, record in read_records([uploaded])}
    assert len(offline_runs(uploaded)) == len(starts)
    assert set(starts) == {*cells, "sweep: summary", "single: summary"}
    for name, record in cells.items():
        start = starts[name][1]
        assert (start["run_group"], start["job_type"]) == (record.experiment, record.system)
        assert start["tags"] == [record.system, record.corpus, f"v{record.vocabulary_size}"]
        assert start["config"]["update"]["system.name"] == record.system


def test_history_of_a_cell_has_three_axes_in_every_row(uploaded, starts):
    for name, (run, _) in starts.items():
        metrics = {each.get("name") or each["glob_name"]: each for each in entries(run, "metric")}
        rows = [row["item"] for row in entries(run, "history")]
        if name.startswith(("mse", "softmax")):
            assert metrics["curve/*"]["step_metric"] == "words"
            curve = [row for row in rows if "curve/validation_nats" in row]
            assert len(curve) == 10
            assert all(set(STEP_METRICS) <= set(row) for row in curve)


def test_summary_of_a_cell_holds_the_figures_of_its_record(uploaded, starts):
    for path, record in read_records([uploaded]):
        logged = summary_of(starts[path.stem][0])
        assert logged["bits_per_byte"] == pytest.approx(record.bits_per_byte)
        assert [logged[f"accuracy_by_decile/{i}"] for i in range(1, 11)] == pytest.approx(record.accuracy_by_decile)
        assert logged["generation_quality/sampled/distinct_2"] == record.generation_quality["sampled"]["distinct_2"]
        assert logged.get("diagnosis/lost_to_fit") == (record.diagnosis or {}).get("lost_to_fit")
        assert (logged["status"], logged["vocabulary_size"]) == ("ok", record.vocabulary_size)


def test_summary_run_holds_leaderboard_texts_figures_and_records(starts):
    run, start = starts["sweep: summary"]
    assert (start["run_group"], start["job_type"], start["tags"]) == ("sweep", "summary", ["summary", "wiki_sample"])
    logged, columns = summary_of(run), columns_of(run)
    assert columns["sweep/leaderboard"][:6] == ["corpus", "budget", "V", "system", "seeds", "bits per byte ↓"]
    assert logged["sweep/figures/quality_vs_cost"]["_type"] == "html-file"
    [artifact] = [each for each in entries(run, "artifact") if each["type"] == "records"]
    names = {content["path"] for content in artifact["manifest"]["contents"]}
    assert "leaderboard.md" in names and len([name for name in names if name.endswith(".json")]) == 12


def test_summary_run_is_logged_once_per_state_of_the_records(uploaded):
    before = offline_runs(uploaded)
    for content in contents([uploaded]):
        log_summary(content, project="test", mode="offline")
    assert offline_runs(uploaded) == before


def test_figures_that_a_report_adds_are_logged_although_the_records_are_unchanged(tmp_path, monkeypatch):
    write_experiments(tmp_path)
    [content] = contents([tmp_path / "single"])
    (tmp_path / "single" / "figures").mkdir(exist_ok=True)
    states = []
    monkeypatch.setattr(summary.Markers, "hold", lambda markers, state, mode: states.append(state) or True)
    for name in ("one.svg", "one.svg", "two.svg"):
        (tmp_path / "single" / "figures" / name).write_text("<svg/>")
        [content] = contents([tmp_path / "single"])
        log_summary(content, project="test", mode="offline")
    assert states[0] == states[1] != states[2]


def test_artifact_holds_the_later_record_of_a_cell_that_lies_in_two_folders(tmp_path):
    for folder, time in (("later", "2026-02-02"), ("earlier", "2026-01-01")):
        record = partial_record(bits_per_byte=2.0, finished_at=time, experiment="größe")
        write_record(record, tmp_path / folder / "cell")
    [content] = contents([tmp_path / "later", tmp_path / "earlier"])
    artifact = summary.records_artifact(content)
    assert artifact.name == "gr__e-records"
    [entry] = artifact.manifest.entries.values()
    assert "2026-02-02" in Path(entry.local_path).read_text()
