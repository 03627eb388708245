"""Plan of a sweep: which jobs run again, and which of them have no sound result afterwards."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories.configurations import hydra_over_the_tree
from hydra import compose

from bench.core.errors import SettingError
from bench.core.paths import resolved_config
from bench.core.sweep_plan import PlannedJob, planned, unsound_job
from bench.run import CellJob

BEGIN = "2026-01-02T00:00:00+00:00"  # of the sweep

BEFORE, AFTER = "2026-01-01T00:00:00+00:00", "2026-01-03T00:00:00+00:00"


@pytest.fixture
def hydra() -> Iterator[None]:
    with hydra_over_the_tree():
        yield


def stored(overrides: list[str], finished_at: str) -> None:
    """Write a sound record of the cell, of which no figure was measured."""
    config = resolved_config(compose("config", overrides))
    record = CellJob().failure(config, SettingError("seed", "no reason"))
    CellJob().record_stem(config).parent.mkdir(parents=True, exist_ok=True)
    record = dataclasses.replace(record, status="ok", reason=None, finished_at=finished_at)
    record.write(CellJob().record_stem(config))


def unsound(job: PlannedJob, folder: Path) -> list[tuple[str, str]]:
    return list(unsound_job(job, folder, BEGIN))


@pytest.mark.parametrize("again", ["force=true", "stale=rerun"])
def test_job_that_runs_again_needs_a_result_of_this_sweep(hydra, tmp_path, monkeypatch, again):
    monkeypatch.setattr(CellJob, "outdated", lambda *_: "made by other code")
    overrides = ["system=unigram", "corpus=kjv", f"results_dir={tmp_path}", again]
    stored(overrides, BEFORE)
    job = planned(overrides)
    assert job.runs_again and job.cell.pending
    [(status, line)] = unsound(job, tmp_path)
    assert status == "killed" and "no new record, its process was killed or its settings were refused" in line
    trace = job.stem.parent / "logs" / f"{job.stem.name}.txt"
    trace.parent.mkdir()
    trace.touch()
    [(status, line)] = unsound(job, tmp_path)
    assert status == "failed" and line.endswith(f"failed, the older record is kept (trace: {trace})")
    stored(overrides, AFTER)
    assert unsound(job, tmp_path) == []


def test_result_of_other_code_counts_in_a_sweep_that_keeps_it(hydra, tmp_path, monkeypatch):
    monkeypatch.setattr(CellJob, "outdated", lambda *_: "made by other code")
    overrides = ["system=unigram", "corpus=kjv", f"results_dir={tmp_path}"]
    stored(overrides, BEFORE)
    job = planned(overrides)
    assert not job.runs_again and not job.cell.pending and unsound(job, tmp_path) == []


def test_job_for_a_gpu_is_planned_where_there_is_none_if_other_machines_may_run_it(hydra, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.core.config_check.gpu_available", lambda: False)
    overrides = ["system=softmax", "trainer=gpu", "corpus=kjv", f"results_dir={tmp_path}"]
    assert planned(overrides).refusal.startswith("trainer: no GPU is available")
    job = planned(overrides, here=False)
    assert job.refusal is None and job.cell.pending
    stored(overrides, AFTER)
    assert unsound(job, tmp_path) == []


def test_job_without_a_record_was_killed(hydra, tmp_path):
    job = planned(["system=unigram", "corpus=kjv", f"results_dir={tmp_path}"])
    [(status, line)] = unsound(job, tmp_path)
    assert status == "killed" and "no record, its process was killed" in line
