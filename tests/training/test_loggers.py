"""Loggers of cells: one run per cell under its own id, curves and figures complete, failures in one line."""

import csv
import dataclasses
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from factories.offline_runs import inspect

from bench.core.errors import FAILED
from bench.core.record import Record, write_record
from bench.training import cell_logger, loggers, wandb_run
from bench.wandb_upload import main, upload

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


CURVE = [
    {"words": words, "seconds": words / 10, "flops": 5.0 * words, "validation_nats": nats}
    for words, nats in ((10, 4.0), (20, 3.5), (40, 3.0))
]
FINISHED = dataclasses.replace(
    RECORD, curve=CURVE, validation_nats=2.75, accuracy_by_decile=[0.5, 0.25], versions={"torch": "2.13.0"},
    device="a CPU", git_commit="abc", trained_words=40, finished_at="2026-01-01T00:00:00+00:00",
)  # fmt: skip


def named(target: str, **settings: str) -> dict:
    """A configuration that names a logger."""
    return CONFIG | {"logger": {"_target_": f"bench.training.loggers.{target}", **settings}}


OFFLINE = named("weights_and_biases", project="test", mode="offline", entity=None)


def summary_text(path: Path) -> str:
    """Return what W&B's own reader says of a run's summary, as JSON on one line."""
    return json.dumps(json.loads(inspect(path, "--summary")))


def runs(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


def test_csv_holds_curve_and_figures_under_names_of_their_own(tmp_path):
    loggers.log_finished(named("csv"), tmp_path / "one", FINISHED)
    with (tmp_path / "logs" / "one" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["curve/validation_nats"] for row in rows] == ["4.0", "3.5", "3.0", ""]
    assert (rows[-1]["validation_nats"], rows[-1]["bits_per_byte"], rows[-1]["status"]) == ("2.75", "2.5", "ok")


def test_csv_of_a_resumed_cell_holds_each_row_once(tmp_path):
    for rows in (CURVE[:2], CURVE):  # the first run is killed; the second logs the rows of its checkpoint again
        with loggers.cell_logger(named("csv"), tmp_path / "one", resume=True) as logger:
            logger.log_rows(("curve", row) for row in rows)
    with (tmp_path / "logs" / "one" / "metrics.csv").open() as file:
        assert [row["words"] for row in csv.DictReader(file)] == ["10", "20", "40"]


def test_csv_of_training_is_kept_when_the_finished_record_is_logged_again(tmp_path):
    with loggers.cell_logger(named("csv"), tmp_path / "one") as logger:
        logger.log_rows([("training", {**CURVE[0], "loss": 9.0})])
    for _ in range(2):
        loggers.log_finished(named("csv"), tmp_path / "one", FINISHED)
        (tmp_path / "logs" / "one" / "logged").unlink()  # as if the record had changed
    assert "training/loss" in (tmp_path / "logs" / "one-earlier.csv").read_text()
    assert "training/loss" not in (tmp_path / "logs" / "one" / "metrics.csv").read_text()


def test_wandb_run_says_which_targets_a_head_reads_and_that_its_inputs_see_the_future(tmp_path):
    targets = {"name": "bert", "level": "token", "context": "bidirectional"}
    system = {"name": "mse", "head": {"targets": targets}}
    config = {**OFFLINE, "system": system, "inputs": "contextual", "targets": targets}
    with loggers.cell_logger(config, tmp_path / "one") as logger:
        assert logger.run.job_type == "mse (inputs see the future)"
        assert {"mse (inputs see the future)", "bert", "token"} < set(logger.run.tags)


def test_wandb_run_of_a_cell_has_the_same_id_after_a_resume_and_another_for_another_cell(tmp_path):
    ids = []
    for cell in ("one", "one", "two"):
        with loggers.cell_logger(OFFLINE, tmp_path / cell, resume=True) as logger:
            ids.append(logger.run.id)
            assert (logger.run.name, logger.run.group, logger.run.job_type) == (cell, "trial", "cosine")
            assert set(logger.run.tags) == {"cosine", "kjv", "v50"}
            assert logger.run.config["system.head.samples"] == 3
        assert wandb.run is None  # the next cell finds no run that it could write into
    assert ids[0] == ids[1] != ids[2]


def test_rows_before_the_step_that_a_resumed_wandb_run_has_reached_are_skipped():
    logged = []
    run = SimpleNamespace(step=21, log=lambda row, step: logged.append(step))  # 20 words were logged
    wandb_run.WandbCellLogger(run, Path("marker")).log_rows(("curve", row) for row in CURVE)
    assert logged == [40]


def test_finished_cell_reaches_wandb_whole_and_once(tmp_path):
    for _ in range(2):
        loggers.log_finished(OFFLINE, tmp_path / "one", FINISHED)
    [path] = runs(tmp_path)
    text = summary_text(path)
    for part in ('"status": "ok"', '"device": "a CPU"', '"git_commit": "abc"', '"versions/torch": "2.13.0"',
                 '"accuracy_by_decile/1": 0.5', '"validation_nats": 2.75', '"curve/validation_nats": 3'):  # fmt: skip
        assert part in text, (part, text)
    assert "is_density" not in text
    assert list(path.rglob("generations*.table.json"))
    assert list(path.glob("artifacts/staging/*")) and list(path.glob("run-*.wandb"))  # `wandb sync` can send it


def test_record_that_was_kept_offline_is_logged_again_online_and_not_offline(tmp_path):
    class Run(SimpleNamespace):
        offline, disabled = True, False

    markers = wandb_run.Markers(tmp_path, "id", "project", None)
    assert not {*markers.paths.values()} & {*wandb_run.Markers(tmp_path, "id", "another", None).paths.values()}
    offline = markers.renewed(Run())
    offline.parent.mkdir()
    offline.write_text("now")
    assert markers.hold("now", "offline") and not markers.hold("now", "online") and not markers.hold("then", "offline")
    assert not markers.hold(None, "offline")
    online = markers.renewed(Run(offline=False))
    assert not offline.exists()
    online.write_text("now")
    assert markers.hold("now", "offline") and markers.hold("now", "online")
    disabled = markers.renewed(Run(disabled=True))
    disabled.write_text("now")
    assert not markers.hold("now", "offline") and not markers.hold("now", "online")


def test_changed_record_is_logged_again(tmp_path):
    loggers.log_finished(named("csv"), tmp_path / "one", FINISHED)
    loggers.log_finished(
        named("csv"), tmp_path / "one", dataclasses.replace(FINISHED, bits_per_byte=7.5, finished_at="now")
    )
    assert "7.5" in (tmp_path / "logs" / "one" / "metrics.csv").read_text()


def test_upload_sends_failed_cells_and_floors_from_their_records(tmp_path):
    floor = dataclasses.replace(FINISHED, system="unigram", curve=[], config=CONFIG)
    failure = dataclasses.replace(RECORD, status="oom", reason="no memory", finished_at="now", config=CONFIG)
    for name, record in {"floor": floor, "failure": failure}.items():
        write_record(record, tmp_path / name)
    assert upload([tmp_path], project="test", mode="offline") == (2, 0)
    text = "".join(summary_text(path) for path in runs(tmp_path))
    assert '"reason": "no memory"' in text and '"status": "oom"' in text and '"bits_per_byte": 2.5' in text


class Broken(cell_logger.CellLogger):
    """Counts its calls, and fails in each."""

    calls = 0

    def write_row(self, *_: object) -> None:
        self.calls += 1
        raise OSError("disk full")


def test_broken_logger_costs_one_line_and_is_not_called_again(capsys, tmp_path):
    logger = Broken(tmp_path / "marker")
    for row in CURVE:
        logger.log_rows([("curve", row)])
    logger.log_record(RECORD)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and printed.startswith("logger: broken (OSError); the run continues")
    assert logger.calls == 1 and not logger.marker.exists()


def test_record_whose_run_does_not_end_is_not_marked_as_logged(capsys, monkeypatch, tmp_path):
    record = dataclasses.replace(FINISHED, config=CONFIG)
    write_record(record, tmp_path / "one")
    monkeypatch.setattr(loggers.CsvCellLogger, "end", lambda self: 1 / 0)
    for _ in range(2):  # the next command logs it again
        assert not loggers.log_finished(named("csv"), tmp_path / "one", record)
        assert capsys.readouterr().out.startswith("logger: broken (ZeroDivisionError)")
    monkeypatch.undo()
    assert loggers.log_finished(named("csv"), tmp_path / "one", record)
    assert (tmp_path / "logs" / "one" / "logged").read_text() == record.finished_at


def test_upload_of_a_run_that_does_not_end_exits_with_failed(capsys, monkeypatch, tmp_path):
    write_record(dataclasses.replace(FINISHED, config=CONFIG), tmp_path / "one")
    monkeypatch.setattr(wandb_run.WandbCellLogger, "end", lambda self: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["bench.wandb_upload", "--mode=offline", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == FAILED
    assert capsys.readouterr().err.splitlines()[-1].startswith("2 runs could not be logged in full; ")


def test_upload_in_a_mode_that_keeps_nothing_is_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(sys, "argv", ["bench.wandb_upload", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        main()
    remedy = "WANDB_MODE=disabled sends and keeps nothing; give --mode offline or --mode online"
    assert remedy in capsys.readouterr().err


def test_call_that_hangs_is_left_behind():
    begin = time.perf_counter()
    assert cell_logger.call_with_limit(lambda: time.sleep(60), seconds=0.2) == "no answer in 0.2 s"
    assert time.perf_counter() - begin < 5
    assert cell_logger.call_with_limit(lambda: None) is None


def test_long_names_are_cut_to_what_wandb_accepts(tmp_path):
    config = OFFLINE | {"system": {"name": "s" * 200}, "experiment_name": "e" * 100}
    with loggers.cell_logger(config, tmp_path / ("c" * 180)) as logger:
        assert "s" * 64 in logger.run.tags


SCRIPT = """
import signal, sys, time
from pathlib import Path
import psutil
from bench.training import loggers, wandb_run
from bench.core.record import Record
config = {"system": {"name": "mse"}, "corpus": {"name": "kjv"}, "vocabulary": {"size": 50}, "experiment_name": "e"}
target = {"_target_": "bench.training.loggers.weights_and_biases", "project": "test", "mode": sys.argv[1]}
config["logger"] = target
wandb_run.SETTINGS["init_timeout"] = 5
record = Record(experiment="e", system="mse", head="x", backbone="l", corpus="kjv", vocabulary_size=50, seed=0)
for cell in ("one", "two"):
    begin = time.perf_counter()
    with loggers.cell_logger(config, Path("out") / cell) as logger:
        if cell == "one" and sys.argv[2:]:
            for child in psutil.Process().children():
                child.kill()
                child.wait()
        for step in range(3):
            logger.log_metrics({"words": step, "validation_nats": 3.0}, step=step)
        logger.log_record(record)
    print(cell, "took", time.perf_counter() - begin)
"""


def two_cells(folder, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess:
    """Two cells' loggers in a process of their own, whose home has no key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, *arguments]
    env = kept | {"HOME": str(folder)} | environment
    piped = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, cwd=folder, env=env, timeout=240, check=False, **piped)


@pytest.mark.slow
def test_online_run_without_a_key_continues_offline(tmp_path):
    run = two_cells(tmp_path, "online")
    assert run.returncode == 0, run.stdout
    line = "logger.mode: wandb cannot run online (UsageError: no API key); the run continues offline"
    assert run.stdout.splitlines()[0] == line
    assert len(list((tmp_path / "out" / "wandb").glob("offline-run-*"))) == 2


@pytest.mark.slow
def test_online_run_without_a_key_does_not_prompt_on_a_terminal(tmp_path):
    controller, terminal = pty.openpty()
    code = "import wandb; from bench.training.wandb_run import init; from pathlib import Path; "
    code += "init('online', {'project': 'test', 'tags': [], 'dir': Path('out')}).finish()"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    env = kept | {"HOME": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=env, stdin=terminal, stdout=terminal) as run:
        assert run.wait(timeout=60) == 0
    said = os.read(controller, 10000).decode()
    assert "no API key" in said and "Enter your choice" not in said


@pytest.mark.slow
def test_online_run_out_of_reach_continues_offline_within_the_limit(tmp_path):
    reach = {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    run = two_cells(tmp_path, "online", **reach)
    assert run.returncode == 0, run.stdout
    assert run.stdout.count("wandb cannot run online (") == 1
    seconds = [float(line.split()[-1]) for line in run.stdout.splitlines() if " took " in line]
    assert seconds[0] < 5 + 15 and seconds[1] < 15  # the next cell does not try again
    assert len(list((tmp_path / "out" / "wandb").glob("offline-run-*"))) == 2


@pytest.mark.slow
def test_service_that_dies_costs_one_line_and_the_next_cell_starts_another(tmp_path):
    run = two_cells(tmp_path, "offline", "kill")
    assert run.returncode == 0, run.stdout
    assert run.stdout.count("logger: broken") == 1
    assert "Traceback" not in run.stdout
    first, second = (summary_text(path) for path in runs(tmp_path / "out"))
    assert "seed" not in first and '"seed": 0' in second
