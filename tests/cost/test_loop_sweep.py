"""Loop ledger: its rows, its timers against a clock that the test moves, and its section of the report."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from factories.configurations import composed
from hydra import initialize_config_dir
from omegaconf import DictConfig

from bench.core.config_check import check_config
from bench.core.environment import config_dir
from bench.core.errors import SettingError
from bench.core.paths import resolved_config
from bench.cost import loop_timers
from bench.cost.ledger import ledger_stem
from bench.cost.loop_sweep import LoopSweep
from bench.cost.loop_timers import WARM_UP_STEPS, TimedBatches, TimedCalls
from bench.cost.schema import LoopLedger, LoopRow
from bench.cost.training_loops import LoopTimings
from bench.report import loop_report, report
from bench.training.budget import VALIDATION_SHARES

SMALL = """
+experiment=cost_loop corpus=synthetic corpus.types=300 corpus.words=6000 corpus.document_words=200 vocabulary.size=200
targets.dimension=16 backbone.trunk.hidden_size=16 batch.streams=4 batch.steps=20 trainer=cpu cost.words=800
cost.rounds=2 logger=csv generation.prompts=[baab]
""".split()


@pytest.fixture(scope="module")
def tree():
    """Hydra, as it is within a job."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        yield


def configured(folder: Path, *more: str) -> DictConfig:
    return composed(*SMALL, f"results_dir={folder}", f"cache_dir={folder}", *more)


@pytest.fixture(scope="module")
def ledger(tree, tmp_path_factory) -> LoopLedger:
    cfg = configured(tmp_path_factory.mktemp("loop"), "cost.contenders=[cosine,softmax]")
    check_config(resolved_config(cfg))
    found = LoopSweep().run(cfg)
    path = LoopSweep().record_stem(resolved_config(cfg))
    assert path.name.startswith("loop-") and path.parent.name == "cost_sweep"
    assert LoopLedger.read(path.with_name(f"{path.name}.json")) == found
    return found


def test_every_loop_of_every_system_is_measured(ledger):
    assert {row.contender for row in ledger.rows} == {"cosine", "softmax"} and ledger.status == "ok", ledger.reason
    for row in ledger.rows:
        spans = [span for name, span in vars(row).items() if name not in ("contender", "status", "reason")]
        assert all(0 < low <= middle <= high for low, middle, high in spans)
        assert all(default >= steps for default, steps in zip(row.default_ms, row.steps_ms, strict=True))
        assert row.data_ms[1] < row.steps_ms[1]
    assert len(ledger.logger_start_seconds) == 2 * ledger.rounds == 4
    assert (ledger.words, ledger.budget, ledger.looks, ledger.logger) == (
        800,
        "300,000 words",
        len(VALIDATION_SHARES),
        "csv",
    )


def test_logger_figures_are_null_without_a_logger(tree, tmp_path):
    found = LoopSweep().run(configured(tmp_path, "cost.contenders=[mse]", "logger=none", "cost.rounds=1"))
    (row,) = found.rows
    assert row.status == "ok" and row.look_ms is not None
    assert row.log_ms is row.log_share is None and found.logger_start_seconds == []


def test_job_leaves_its_ledger_alone_in_the_folder(tree, tmp_path):
    LoopSweep().run(configured(tmp_path, "cost.contenders=[mse]", "cost.rounds=1"))
    assert [path.suffix for path in (tmp_path / "cost_sweep").iterdir()] == [".json"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("cost.contenders=[ngram]", r"^cost\.contenders: there is no ngram; choose one of adaptive_softmax, "),
        (
            "cost.words=320",
            r"^cost\.words: 320 words are 4 steps; give words for more than 6 steps, as the first 5",
        ),
    ],
)
def test_bad_setting_is_reported_in_one_line(tree, tmp_path, given, line):
    with pytest.raises(SettingError, match=line):
        LoopSweep().run(configured(tmp_path, "cost.contenders=[mse]", given))


def test_system_that_fails_is_a_row_and_the_others_are_measured(tree, tmp_path):
    cfg = configured(tmp_path, "cost.contenders=[mse,cosine]", "cost.rounds=1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.heads.mse.MSEHead.loss", lambda *_: 1 / 0)
        rows = {row.contender: row for row in LoopSweep().run(cfg).rows}
    assert (rows["mse"].status, rows["mse"].reason) == ("failed", "ZeroDivisionError: division by zero")
    assert rows["cosine"].status == "ok"


def test_timed_batches_count_from_the_sixth_batch_to_the_last(monkeypatch):
    now = 0.0

    def tick(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(loop_timers.time, "perf_counter", lambda: now)

    def endless():
        while True:
            tick(0.25)  # making one
            yield SimpleNamespace(trained_words=100)

    timed = TimedBatches(endless())
    batches = iter(timed)
    calls = TimedCalls()
    pause = calls.timing(lambda: tick(3.0))
    for step in range(WARM_UP_STEPS + 4):
        next(batches)
        tick(0.75)
        if step in (1, WARM_UP_STEPS + 1):
            pause()
    next(batches)
    assert timed.seconds == 4 * 1.0 + 3.0
    assert timed.waiting == 4 * 0.25
    assert calls.durations == [3.0, 3.0] and calls.seconds_between(timed.begin, timed.end) == 3.0
    assert timed.ms_per_1k(4.0) == 10_000.0  # of four batches


def test_periodic_calls_are_spread_over_the_words_until_they_are_due_again(tree, tmp_path):
    cfg = configured(tmp_path, "budget.words=60000", "checkpoint.seconds=10")
    timings = LoopTimings(bare=[100.0], trainer=[110.0], steps=[100.0], data=[1.0], validations=[50.0], logs=[60 / 106])
    timings.checkpoints = [200.0]
    figures = {name: span[1] for name, span in timings.spans(cfg).items()}
    # six validations of 50 ms over sixty thousand words, 106 log rows of 60 ms together; 200 ms in 10 s
    assert figures["look_share"] == pytest.approx(0.05) and figures["log_share"] == pytest.approx(0.01)
    assert figures["checkpoint_share"] == pytest.approx(0.02) and figures["data_share"] == pytest.approx(0.01)
    assert figures["default_ms"] == pytest.approx(108.0) and figures["default_ratio"] == pytest.approx(1.08)
    assert figures["trainer_ratio"] == pytest.approx(1.1)
    cfg.budget = {"words": None, "seconds": 6.0}  # sixty thousand words too
    assert timings.spans(cfg)["look_share"][1] == pytest.approx(0.05)
    cfg.checkpoint.seconds = 0  # one a step, of 80 words: 8 ms
    assert timings.spans(cfg)["checkpoint_share"][1] == pytest.approx(200 / 8)


def made_up(**fields: object) -> LoopLedger:
    row = LoopRow(
        contender="cosine", bare_ms=[29.0, 30.0, 31.0], default_ms=[30.0, 31.2, 33.0], default_ratio=[1.0, 1.04, 1.1],
        look_share=[0.018, 0.02, 0.03],
    )  # fmt: skip
    lost = LoopRow(contender="softmax", status="oom", reason="RuntimeError: too large")
    settings = {
        "experiment": "cost_sweep", "device": "cpu", "precision": "32-true", "threads": 2, "rounds": 5,
        "rows": [row, lost], "config": {}, "versions": {}, "git_commit": None,
        "finished_at": "2026-01-01T00:00:00+00:00", "corpus": "c", "vocabulary_size": 5000, "backbone": "lstm",
        "hidden_size": 256, "words": 28_000, "budget": "300,000 words", "looks": 6, "checkpoint_seconds": 60.0,
        "logger": "weights_and_biases", "logger_start_seconds": [0.7, 0.02, 0.03],
    }  # fmt: skip
    return LoopLedger(**settings | fields)


def test_report_shows_the_loop_ledger(tmp_path, capsys):
    (section,) = loop_report.sections([made_up(rows=[]), made_up()])  # of one setting the last
    times, parts = section.summary
    assert {row.label: str(row.values["default_ratio"]) for row in times.rows} == {
        "cosine": "1.04 [1.00, 1.10]", "× softmax": "–",
    }  # fmt: skip
    assert times.rows[1].failures == ["× oom: RuntimeError: too large"]
    assert str(parts.rows[0].values["look_share"]) == "2.00 [1.8, 3.0]" and len(parts.columns) == 1
    assert section.facts == (
        "lstm of 256 · V = 5,000, c · budget 300,000 words · logger weights_and_biases · 32-true · cpu, 2 threads"
    )
    assert section.headline == [
        "Training takes at most 1.04 times a bare loop's time (cosine).",
        "Starting and ending the logger is added to this: 0.70 s in a process's first run, 0.030 s at most in each "
        "later run.",
    ]
    made_up().write(ledger_stem({"results_dir": str(tmp_path), "experiment_name": "cost_sweep"}, LoopLedger.prefix, {}))
    report([tmp_path / "cost_sweep"], tmp_path)
    for file in ("costs.md", "index.html"):
        assert "What the training loop costs" in (tmp_path / file).read_text()
    assert "The loop, beside a loop of ten lines" in capsys.readouterr().out
