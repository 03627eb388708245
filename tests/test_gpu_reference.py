"""The reference run on a GPU, rehearsed on the CPU at a thousandth of its size."""

import json
import shlex
import signal
import subprocess
import sys
import time

import pytest
import torch
from factories.configurations import composed, composed_with_hydra, plain
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from bench import gpu_reference
from bench.core.config_check import check_config
from bench.core.environment import config_dir
from bench.core.errors import SettingError
from bench.core.paths import plain_config
from bench.core.sweep_plan import jobs
from bench.cost.schema import StepLedger, StepRow
from bench.gpu_reference import GpuReference, planned_rows, run_step

REHEARSAL = ["+experiment=gpu_reference", "device=cpu", "trainer=cpu", "precision=fp32", "scale=0.001"]
TEXT = ["corpus=text", "corpus.path=books", "targets=random"]


def step_row(name: str, *command: str, seconds: float = 20) -> StepRow:
    return StepRow(contender=name, command=list(command), estimate_seconds=seconds, status="slow", reason="not started")


def test_plan_leaves_out_the_step_whose_text_is_not_given():
    rows = planned_rows(plain(*REHEARSAL), REHEARSAL)
    assert [row.contender for row in rows] == [
        "known_truth_10k", "cost_heads", "known_truth_50k", "cost_models", "data_scaling",
    ]  # fmt: skip
    left_out = {row.contender: row.reason for row in rows if row.status == "missing"}
    assert left_out == {"data_scaling": "left out: it needs corpus.path"}


def test_step_gets_the_typed_settings_that_it_takes():
    typed = [*REHEARSAL, *TEXT]
    *others, scaling = planned_rows(plain(*typed), typed)
    assert scaling.status != "missing"
    assert set(TEXT) <= set(scaling.command)
    assert not any(set(TEXT) & set(row.command) for row in others)
    for row in (*others, scaling):
        assert "results_dir=results/gpu_reference" in row.command and "logger=none" in row.command
        assert row.command[0].startswith("+experiment=") and "force=false" in row.command


def test_folders_with_any_characters_reach_a_step_as_they_are(capsys):
    config = plain(*REHEARSAL) | {"cache_dir": "/home/josé/my cache, (new)", "results_dir": "it's=1"}
    rows = planned_rows(config, [])
    parsed = OverridesParser.create().parse_overrides(rows[0].command[1:])
    values = {each.key_or_group: each.value() for each in parsed}
    assert (values["cache_dir"], values["results_dir"]) == ("/home/josé/my cache, (new)", "it's=1/gpu_reference")
    gpu_reference.print_plan(config, rows)
    [line, *_] = [line for line in capsys.readouterr().err.splitlines() if "+experiment=" in line]
    assert shlex.split(line.partition("python -m bench ")[2]) == rows[0].command


def test_unknown_step_is_refused_and_only_selects():
    assert [row.contender for row in planned_rows(plain(*REHEARSAL, "only=[cost_heads]"), [])] == ["cost_heads"]
    with pytest.raises(SettingError, match=r"^only: there is no cost; choose one of known_truth_10k,"):
        planned_rows(plain(*REHEARSAL, "only=[cost]"), [])
    with pytest.raises(SettingError, match=r"^only: there is no cost_head; did you mean cost_heads\? The choices are "):
        planned_rows(plain(*REHEARSAL, "only=[cost_head]"), [])


def test_estimates_of_the_default_plan_fit_its_limit():
    config = plain("+experiment=gpu_reference")
    due = [row for row in planned_rows(config, []) if row.status != "missing"]
    spare = gpu_reference.GRACE_SECONDS + gpu_reference.REPORT_SECONDS
    assert sum(row.estimate_seconds for row in due) + spare <= config["limit_seconds"] <= 480


@pytest.mark.parametrize("more", [[], ["trainer=gpu", "device=cuda", "precision=bf16", "scale=1"]])
def test_each_cell_of_each_step_has_a_sound_configuration(monkeypatch, more):
    """Compose the cells as Hydra's sweeper would, at the size of the rehearsal and at full size."""
    monkeypatch.setattr("bench.core.config_check.gpu_available", lambda: True)
    typed = [*REHEARSAL, *more, *TEXT]
    counts = {}
    for row in planned_rows(plain(*typed), typed):
        cfg = composed_with_hydra(row.command[0])
        cfg.hydra.overrides.task = row.command
        with initialize_config_dir(config_dir(), version_base="1.3"):
            grid = jobs(cfg)
        for overrides in (*grid[:6], grid[-1]):  # all systems, and the last size
            check_config(plain_config(composed(*(each for each in overrides if not each.startswith("hydra")))))
        counts[row.contender] = len(grid)
    assert counts == {
        "known_truth_10k": 2, "cost_heads": 3, "known_truth_50k": 2, "cost_models": 3, "data_scaling": 4 * 6,
    }  # fmt: skip


@pytest.mark.parametrize("typed", ["seed=7", "backbone.trunk.hidden_size=1024", "vocabulary.size=77"])
def test_override_that_no_step_reads_is_refused(typed):
    with pytest.raises(SettingError, match=rf"^{typed.partition('=')[0]}: no step reads it; .* are corpus, targets$"):
        planned_rows(plain("+experiment=gpu_reference"), [typed])


def test_cells_of_data_scaling_read_the_words_of_their_budget_once():
    for budget in (300_000, 10_000_000):
        cfg = composed("+experiment=data_scaling", f"budget.words={budget}")
        assert (cfg.corpus.train_words, cfg.backbone.trunk.hidden_size) == (budget, 512)


def test_default_plan_has_the_documented_sizes():
    steps = {row.contender: row.command for row in planned_rows(plain("+experiment=gpu_reference"), [])}
    for name, types, words in (("known_truth_10k", 10_000, 20_000_000), ("known_truth_50k", 50_000, 30_000_000)):
        assert {f"vocabulary.size={types}", f"corpus.types={types}", f"budget.words={words}"} <= {*steps[name]}
    for name in ("cost_heads", "cost_models"):
        assert {"vocabulary.size=10000,100000,1000000", "precision=bf16", "device=cuda"} <= {*steps[name]}


def test_missing_gpu_is_one_line_with_the_rehearsal(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match=r"^device: torch finds no CUDA device here; rehearse by device=cpu"):
        GpuReference().run(composed("+experiment=gpu_reference"))


@pytest.fixture
def scripts(monkeypatch):
    """Run a step's command as Python code instead of as arguments of the bench."""
    monkeypatch.setattr(gpu_reference, "COMMAND", [sys.executable, "-c"])


def test_step_that_outlasts_its_time_is_stopped_and_kept_as_slow(monkeypatch, scripts):
    monkeypatch.setattr(gpu_reference, "START_SECONDS", 0.1)
    begin = time.monotonic()
    row = run_step(step_row("sleeper", "import time; time.sleep(60)"), 0.5)
    assert time.monotonic() - begin < 10
    assert row.status == "slow" and row.reason.startswith("stopped after ") and row.seconds >= 0.5


def test_step_that_ignores_the_signal_is_killed(monkeypatch, scripts):
    monkeypatch.setattr(gpu_reference, "START_SECONDS", 0.1)
    monkeypatch.setattr(gpu_reference, "GRACE_SECONDS", 0.5)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    begin = time.monotonic()
    assert run_step(step_row("stubborn", code), 2).status == "slow"
    assert time.monotonic() - begin < 15


def test_step_ends_as_its_exit_status_says(scripts):
    for code, status in ((0, "ok"), (75, "slow"), (1, "failed"), (2, "failed")):
        row = run_step(step_row("one", f"raise SystemExit({code})"), 60)
        assert (row.status, row.reason is None) == (status, status == "ok")


def test_step_without_time_is_not_started(scripts):
    row = step_row("late", "raise SystemExit(1)")
    assert run_step(row, gpu_reference.START_SECONDS - 1) is row


def test_each_step_is_written_as_it_ends_and_the_later_steps_keep_their_time(monkeypatch, tmp_path):
    times, written = [], []

    def run(row: StepRow, seconds: float) -> StepRow:
        times.append(seconds)
        written.append([each.status for path in tmp_path.rglob("steps-*.json") for each in StepLedger.read(path).rows])
        return gpu_reference.dataclasses.replace(row, status="ok", reason=None, seconds=1.0)

    monkeypatch.setattr(gpu_reference, "run_step", run)
    monkeypatch.setattr(gpu_reference, "run_limited", lambda *_: 0)
    ledger = GpuReference().run(composed(*REHEARSAL, f"results_dir={tmp_path}", "limit_seconds=200"))
    assert ledger.status == "ok" and [row.status for row in ledger.rows] == ["ok"] * 4 + ["missing"]
    estimates = [row.estimate_seconds for row in ledger.rows]
    assert times == [pytest.approx(200 - 15 - 20 - sum(estimates[number:4]), abs=5) for number in range(1, 5)]
    assert written == [[], *(["ok"] * done + ["slow"] * (4 - done) + ["missing"] for done in range(1, 4))]


def test_summary_and_headline_name_the_steps():
    config = plain(*REHEARSAL)
    ledger = gpu_reference.make_ledger(config, planned_rows(config, []))
    assert GpuReference().headline(ledger) == "0 of 5 steps"
    assert GpuReference().summary(ledger)["cost_heads"] == "slow"


COMMAND = [sys.executable, "-m", "bench", *REHEARSAL]


@pytest.mark.slow
def test_stopped_command_stops_its_step_and_continues(tmp_path):
    """Ctrl-C of the command: one line, exit status 75, and no process is left."""
    only = ["only=[known_truth_10k]", f"results_dir={tmp_path}", f"cache_dir={tmp_path}"]
    with subprocess.Popen([*COMMAND, *only], stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        for line in process.stderr:
            if line.startswith("  known_truth_10k: about"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 75, rest
    assert "stopped by SIGINT; the same command continues" in rest


@pytest.mark.slow
def test_rehearsal_writes_records_and_ledgers(tmp_path, place):
    """All kinds of steps; the two that are left out differ from another in size or part alone."""
    arguments = [f"results_dir={tmp_path}", f"cache_dir={tmp_path}", "corpus=text", f"corpus.path={place / 'text.txt'}"]
    more = ["targets=random", "targets.dimension=64", "only=[known_truth_10k,cost_models,data_scaling]"]
    done = subprocess.run([*COMMAND, *arguments, *more], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    [path] = (tmp_path / "gpu_reference").glob("steps-*.json")
    rows = {row.contender: row for row in StepLedger.read(path).rows}
    assert {name: (row.status, row.reason) for name, row in rows.items()} == dict.fromkeys(rows, ("ok", None))
    folders = {folder.name for folder in (tmp_path / "gpu_reference").iterdir() if folder.is_dir()}
    assert {"known_truth", "cost_sweep", "data_scaling", "figures"} <= folders
    records = [json.loads(each.read_text()) for each in (tmp_path / "gpu_reference" / "known_truth").glob("*.json")]
    assert {record["system"] for record in records} == {"softmax", "truth"}
    assert all(record["status"] == "ok" and record["device"] for record in records)
