"""A sweep with `logger=wandb`: a run per cell, a summary run, and panels over names that these runs really hold."""

import json

import pytest
from factories.commands import settings
from factories.offline_runs import entries, logged_names, offline_runs
from factories.panels import names_of, panels

from bench.dashboard import view
from bench.dashboard.content import contents

pytestmark = pytest.mark.slow


def test_sweep_logs_a_run_per_cell_and_a_summary_that_serve_every_panel(place, forked, tmp_path):
    arguments = [*settings("softmax", "mse", "unigram"), "corpus.path=text.txt", f"results_dir={tmp_path}"]
    done = forked(place, *arguments, "logger=wandb", WANDB_MODE="offline")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = offline_runs(tmp_path)
    starts = [entries(run, "run")[0] for run in runs]
    assert sorted(start["job_type"] for start in starts) == ["mse", "softmax", "summary", "unigram"]
    assert {start["run_group"] for start in starts} == {"smoke"}
    found = contents([tmp_path])
    path = view.write(tmp_path / "view.json", view.workspace(found, "p", ""), view.report(found, "p", ""))
    used = {name for panel in panels(json.loads(path.read_text())) for name in names_of(panel)}
    assert used - set().union(*(logged_names(run) for run in runs)) == set()
    assert {"smoke/leaderboard", "smoke/figures/learning_curves", "generations", "curve/validation_nats"} <= used
    again = forked(place, *arguments, "logger=wandb", WANDB_MODE="offline")
    assert again.returncode == 0 and offline_runs(tmp_path) == runs


def test_sweep_without_wandb_logs_no_summary(place, forked, tmp_path):
    arguments = [*settings("unigram"), "corpus.path=text.txt", f"results_dir={tmp_path}", "logger=none"]
    assert forked(place, *arguments).returncode == 0
    assert not list(tmp_path.glob("*/wandb"))
