"""What the mirrors are given: a run a cell, flat settings, final figures, texts."""

import json
import os
import pty
import subprocess
import sys
import time

import pytest
import wandb

from bench.core.record import Record
from bench.training import loggers

CONFIG = {
    "system": {"name": "cosine", "head": {"samples": 3}},
    "corpus": {"name": "kjv"},
    "vocabulary": {"size": 50},
    "experiment_name": "trial",
}
RECORD = Record(
    experiment="trial",
    system="cosine",
    head="CosineHead",
    backbone="lstm",
    corpus="kjv",
    vocabulary_size=50,
    seed=0,
    bits_per_byte=2.5,
    is_density=False,
    generations=[{"prompt": "in the", "greedy": "a b", "sampled": "c d"}],
)


def test_csv_keeps_the_figures(tmp_path):
    logger = loggers.csv(folder=tmp_path, cell="one", config=CONFIG)
    with loggers.mirroring(logger):
        logger.log_metrics({"words": 10, "validation_nats": 3.0}, step=1)
        loggers.mirror(logger, RECORD)
    text = (tmp_path / "logs" / "one" / "metrics.csv").read_text()
    assert "validation_nats" in text and "bits_per_byte" in text and "2.5" in text


@pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb.*", "ignore::ResourceWarning")
def test_wandb_offline_has_a_run_a_cell_with_summary_and_texts(tmp_path):
    runs = []
    for cell in ("one", "two"):
        logger = loggers.weights_and_biases(folder=tmp_path, cell=cell, config=CONFIG, project="test", mode="offline")
        with loggers.mirroring(logger):
            run = logger.experiment
            runs.append(run)
            logger.log_metrics({"words": 10, "seconds": 1.0, "flops": 5.0, "validation_nats": 3.0}, step=1)
            loggers.mirror(logger, RECORD)
            assert (run.name, run.group, run.job_type) == (cell, "trial", "cosine")
            assert set(run.tags) == {"cosine", "kjv", "v50"}
            assert run.config["system.head.samples"] == 3
            summary = json.loads(json.dumps(dict(run.summary), default=str))
            assert summary["bits_per_byte"] == 2.5 and summary["validation_nats"] == 3.0
            assert "is_density" not in summary  # a scalar that nobody plots
    assert runs[0].id != runs[1].id
    assert wandb.run is None  # the next cell finds no run that it could write into
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2
    assert list((tmp_path / "wandb").rglob("generations*.table.json"))
    for run in (tmp_path / "wandb").glob("offline-run-*"):  # whole, so that `wandb sync` can send it later
        assert list(run.glob("artifacts/staging/*")) and list(run.glob("run-*.wandb"))


class Broken(loggers.Logger):
    """Counts what it is asked for, and does nothing of it."""

    name = version = None
    asked = 0

    def log_hyperparams(self, *_):
        """Nothing."""

    def log_metrics(self, *_):
        self.asked += 1
        raise OSError("disk full")


def test_a_mirror_that_breaks_says_so_once_and_is_asked_no_more(capsys):
    broken = Broken()
    logger = loggers.Mirror(broken)
    with loggers.mirroring(logger):
        for step in range(3):
            logger.log_metrics({"words": 1.0}, step)
        loggers.mirror(logger, RECORD)
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and said.startswith("logger: the mirror is broken (OSError); the run goes on")
    assert broken.asked == 1


def test_a_mirror_that_hangs_is_left_behind():
    begin = time.perf_counter()
    assert loggers.bounded(lambda: time.sleep(60), seconds=0.2) == "no answer in 0.2 s"
    assert time.perf_counter() - begin < 5
    assert loggers.bounded(lambda: None) is None


def test_names_that_wandb_would_not_take_are_cut(tmp_path):
    config = CONFIG | {"system": {"name": "s" * 200}, "experiment_name": "e" * 100}
    logger = loggers.weights_and_biases(folder=tmp_path, cell="c" * 180, config=config, project="test", mode="offline")
    with loggers.mirroring(logger):
        assert "s" * 64 in logger.experiment.tags


SCRIPT = """
import signal, sys, time
from pathlib import Path
import psutil
from bench.training import loggers
from bench.core.record import Record
config = {"system": {"name": "mse"}, "corpus": {"name": "kjv"}, "vocabulary": {"size": 50}, "experiment_name": "e"}
record = Record(experiment="e", system="mse", head="x", backbone="l", corpus="kjv", vocabulary_size=50, seed=0)
for cell in ("one", "two"):
    begin = time.perf_counter()
    logger = loggers.weights_and_biases(folder=Path("out"), cell=cell, config=config, project="test", mode=sys.argv[1])
    with loggers.mirroring(logger):
        if cell == "one" and sys.argv[2:]:
            for child in psutil.Process().children():
                child.kill()
                child.wait()
        for step in range(3):
            logger.log_metrics({"words": step, "validation_nats": 3.0}, step=step)
        loggers.mirror(logger, record)
    print(cell, "took", time.perf_counter() - begin)
"""


def mirrored(folder, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess:
    """Two cells' mirrors in a process of their own, whose home has no key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, *arguments]
    env = kept | {"HOME": str(folder)} | environment
    piped = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, cwd=folder, env=env, timeout=240, check=False, **piped)


def summaries(folder) -> list[dict]:
    """What W&B's own reader finds in the runs of a folder."""
    found = []
    for run in sorted((folder / "out" / "wandb").glob("offline-run-*")):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(run)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        found.append(json.loads(done.stdout))
    return found


@pytest.mark.slow
def test_online_without_a_key_asks_nothing_and_goes_on_offline(tmp_path):
    run = mirrored(tmp_path, "online")
    assert run.returncode == 0, run.stdout
    line = "logger.mode: wandb cannot run online (UsageError: no API key); the run goes on offline"
    assert run.stdout.splitlines()[0] == line
    assert len(list((tmp_path / "out" / "wandb").glob("offline-run-*"))) == 2


@pytest.mark.slow
def test_online_without_a_key_on_a_terminal_waits_for_no_answer(tmp_path):
    controller, terminal = pty.openpty()
    code = "import wandb; from bench.training.loggers import begun; from pathlib import Path; "
    code += "begun('online', {'project': 'test', 'dir': Path('out')}).finish()"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    env = kept | {"HOME": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=env, stdin=terminal, stdout=terminal) as run:
        assert run.wait(timeout=60) == 0
    said = os.read(controller, 10000).decode()
    assert "no API key" in said and "Enter your choice" not in said


@pytest.mark.slow
def test_online_out_of_reach_goes_on_offline_within_the_bound(tmp_path):
    reach = {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    run = mirrored(tmp_path, "online", **reach)
    assert run.returncode == 0, run.stdout
    assert run.stdout.count("wandb cannot run online (") == 1
    seconds = [float(line.split()[-1]) for line in run.stdout.splitlines() if " took " in line]
    assert seconds[0] < loggers.REACH_SECONDS + 15 and seconds[1] < 15  # the next cell does not try again
    assert len(list((tmp_path / "out" / "wandb").glob("offline-run-*"))) == 2


@pytest.mark.slow
def test_a_service_that_dies_costs_a_line_and_the_next_cell_has_another(tmp_path):
    run = mirrored(tmp_path, "offline", "kill")
    assert run.returncode == 0, run.stdout
    assert run.stdout.count("the mirror is broken") == 1
    assert "Traceback" not in run.stdout
    first, second = summaries(tmp_path)
    assert "seed" not in json.dumps(first) and '"seed": 0' in json.dumps(second)
