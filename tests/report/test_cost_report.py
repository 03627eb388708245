"""The report of cost ledgers, from made-up ones: exact table values, and what the page and the figures hold."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import SettingError
from bench.core.record import Record, read_records
from bench.core.record import write_record as write_record
from bench.cost.schema import Drift, EncoderLedger, HeadLedger, Reading, Row
from bench.report import (
    break_even,
    cost_glossary,
    cost_plots,
    cost_report,
    cost_tables,
    encoder_report,
    ledgers,
    report,
    run_table,
    scaling_tables,
)
from bench.report.plot_style import PUBLISHED
from bench.report.table import Table

SIZES = (1000, 10_000, 100_000, 1_000_000)


def span(middle: float) -> list[float]:
    return [middle * 0.97, middle, middle * 1.04]


def row(contender: str, size: int, **fields: object) -> Row:
    """Full softmax in proportion to V, the others flat in training, all in proportion in decoding."""
    grows = size / 1000
    step = {"softmax": 1 + grows, "adaptive_softmax": 4 + 0.5 * grows**0.5}.get(contender, 2.0)
    width = {"cosine": 1.5}.get(contender, 1.0)
    figures = {
        "step_ms": span(step),
        "adam_ms": span(1.0),
        "decode_1_ms": span(0.1 + width * grows / 10),
        "decode_256_ms": span(1 + width * grows),
        "peak_mib": 8.0,
        "weights_mib": grows,
        "adam_mib": 2 * grows,
        "peak_share": 0.5,
        "reads_targets": contender == "cosine",
    }
    return Row(**({"contender": contender, "part": "head", "vocabulary_size": size} | figures | fields))


def ledger(size: int, rows: list[Row], **fields: object) -> HeadLedger:
    settings = {
        "experiment": "cost_sweep", "vocabulary_size": size, "positions": 1000, "hidden_size": 256, "target_size": 384,
        "device": "cpu", "precision": "fp32", "threads": 2, "rounds": 20, "peak_gflops": span(100.0), "rows": rows,
        "config": {}, "versions": {"torch": "2.13.0"}, "git_commit": "0123456789abcdef",
        "finished_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return HeadLedger(**settings | fields)


def encoder(**fields: object) -> EncoderLedger:
    """It reads ten words a ms; a wider window counts, and what sees the future or is another's does not."""
    rows = [
        Reading(contender=name, context=name.split()[-1], window=window, words_per_second=span(speed), peak_mib=9.0)
        for name, window, speed in (
            ("causal", 128, 1e4), ("causal", 32, 2e4), ("bidirectional", 32, 3e4), ("prefix", 32, 500.0),
            ("peer:plain causal", 128, 8e3), ("peer:equal prefix", 32, 400.0),
        )
    ]  # fmt: skip
    figures = {"cosine_to_fp32": 0.99995, "least_cosine_to_fp32": 0.9991, "times_peer": span(0.8)}
    rows[0] = dataclasses.replace(rows[0], **figures)
    drift = [
        Drift(vectors="causal", cosine=0.836, own_nearest=0.98, cosine_within=0.944, own_nearest_within=0.994),
        Drift(vectors="prefix of another place", cosine=0.04, cosine_within=0.05),
    ]
    settings = {
        "experiment": "cost_sweep", "device": "cpu", "precision": "fp32", "threads": 2, "rounds": 5, "rows": rows,
        "config": {}, "versions": {"torch": "2.13.0"}, "git_commit": None, "finished_at": "2026-01-01T00:00:00+00:00",
        "encoder": "bert", "weights_sha256": None, "corpus": "c", "words": 4096, "window": 32, "drift": drift,
    }  # fmt: skip
    return EncoderLedger(**settings | fields)


def nothing(contender: str, size: int, status: str, reason: str) -> Row:
    return Row(contender=contender, part="head", vocabulary_size=size, status=status, reason=reason)


def sweep() -> list[HeadLedger]:
    """Four V; softmax is out of memory at the largest but still decodes; a peer is missing, one searches alone."""
    found = []
    for size in SIZES:
        rows = [row(name, size) for name in ("softmax", "adaptive_softmax", "sampled_softmax", "cosine")]
        hnsw = {"index": "hnsw", "build_s": 1.5, "recall_at_1": 0.98, "recall_at_10": 0.95}
        hnsw |= {"decode_1_ms": span(0.05), "decode_256_ms": span(5.0)}
        broken = dict.fromkeys(hnsw) | {"index": "ivf", "reason": "too few vectors"}
        rows[3] = dataclasses.replace(rows[3], approximate=[hnsw, broken])
        if size == SIZES[-1]:
            lost = {"step_ms": None, "adam_ms": None, "peak_mib": None}
            rows[0] = dataclasses.replace(rows[0], status="oom", reason="step: 4 GiB asked", **lost)
        rows.append(nothing("peer:liger", size, "missing", "needs a GPU"))
        searcher = {"step_ms": None, "adam_ms": None, "peak_mib": None, "adam_mib": None, "peak_share": None}
        rows.append(row("peer:faiss flat", size, **searcher))
        found.append(ledger(size, rows))
    return found


@pytest.fixture(scope="module")
def frame():
    return cost_report.rows(sweep())


@pytest.fixture(scope="module")
def section():
    (only,) = cost_report.sections([*sweep(), encoder()])
    return only


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledgers")
    for each in sweep():
        each.write(folder / f"v{each.vocabulary_size}-0123abcd")
    encoder().write(folder / "encoder-0123abcd")
    write_record(Record(experiment="e", system="softmax", head=None, backbone="lstm", corpus="c", vocabulary_size=1000,
                        seed=0, bits_per_byte=2.0), folder / "softmax-c-v1000-s0-0123abcd")  # fmt: skip
    report([folder], folder)
    return folder


def texts(sheet: Table, field: str) -> dict[str, str]:
    return {row.label: str(row.values[field]) for row in sheet.rows}


def titled(section: ledgers.Section, title: str) -> Table:
    return next(sheet for sheet in (*section.summary, *section.sizes) if sheet.title == title)


def test_training_is_step_and_update_and_compared_with_full_softmax_at_that_size(section):
    sheet = titled(section, "V = 10,000: training")
    assert texts(sheet, "training_ms")["softmax"] == "12.0 [11.6, 12.5]"
    assert texts(sheet, "training_ratio")["cosine"] == "0.250"
    assert texts(sheet, "training_ratio")["softmax"] == "1.00"
    assert texts(sheet, "peak_share")["cosine"] == "50.0"
    assert [row.label for row in sheet.rows] == [
        "cosine", "sampled_softmax", "adaptive_softmax", "softmax", "× liger"
    ]  # fmt: skip
    assert {row.label for row in sheet.rows if row.values["training_ms"].leads} == {"cosine", "sampled_softmax"}
    assert "sgd_ms" not in {column.name for column in sheet.columns}


def test_memory_is_weights_state_and_peak(section):
    assert texts(titled(section, "V = 10,000: memory"), "total_mib")["cosine"] == "38.0"


def test_what_was_lost_is_said_and_the_rest_of_the_row_stands(section):
    largest = f"V = {SIZES[-1]:,}"
    training = titled(section, f"{largest}: training")
    assert texts(training, "peak_share")["× softmax"] == "50.0"
    assert texts(training, "training_ms")["× softmax"] == "–"
    assert "training_ratio" not in {column.name for column in training.columns}
    decoding = titled(section, f"{largest}: exact decoding")
    assert texts(decoding, "decode_256_ms")["× softmax"] == "1,000 [970, 1,040]"
    assert texts(decoding, "decode_ratio")["cosine"] == "1.50"
    assert decoding.failures == ["softmax × oom: step: 4 GiB asked"]
    assert "× liger" not in texts(decoding, "decode_1_ms")


def test_indexes_stand_beside_what_they_replace(section):
    sheet = titled(section, "V = 10,000: approximate decoding")
    assert texts(sheet, "index_recall_at_10") == {"cosine, hnsw": "95.0", "× cosine, ivf": "–"}
    assert texts(sheet, "index_ratio")["cosine, hnsw"] == "0.0312"  # 0.05 of 1.6 ms


def test_laws_are_fitted_to_what_was_measured(section):
    sheet = titled(section, "What training costs as V grows")
    assert texts(sheet, "growth")["cosine"] == "0 flat"
    assert texts(sheet, "fixed")["softmax"] == "– 3 V measured, a law needs 4"  # out of memory at the fourth
    assert texts(sheet, "far")["cosine"].startswith("3.00 [")
    assert texts(sheet, "far")["cosine"].endswith("extrapolated")
    decoding = titled(section, "What decoding 256 queries costs as V grows")
    assert texts(decoding, "growth")["softmax"].startswith("1.00 [0.9")
    assert float(texts(decoding, "far")["softmax"].split(" [")[0].replace(",", "")) == pytest.approx(10_001, rel=0.02)


def test_crossovers_are_those_of_the_laws(section):
    (sheet,) = (each for each in section.summary if each.title == "Where one head overtakes another")
    fields = [column.name for column in sheet.columns]
    assert fields == [  # full softmax has too few V for a law of training
        "training_ms adaptive_softmax", "decode_1_ms softmax", "decode_1_ms adaptive_softmax",
        "decode_256_ms softmax", "decode_256_ms adaptive_softmax",
    ]  # fmt: skip
    assert texts(sheet, "training_ms adaptive_softmax")["cosine"] == "always"
    assert texts(sheet, "decode_256_ms softmax")["cosine"] == "never"
    assert texts(sheet, "decode_256_ms softmax")["sampled_softmax"] == "≈"
    assert texts(sheet, "decode_1_ms softmax")["softmax"] == "–"


@pytest.mark.parametrize(
    "at, text",
    [
        (scaling_tables.Crossover(2345.0, 1900.0, 2800.0), "2,300 [1,900, 2,800]"),
        (scaling_tables.Crossover(2.345e6, 1.2e6, np.inf), "not seen [1,200,000*, never]"),
        (scaling_tables.Crossover(0.0, 0.0, 0.0), "always"),
        (scaling_tables.Crossover(np.inf, np.inf, np.inf), "never"),
        (scaling_tables.Crossover(np.inf, 40_000.0, np.inf), "never [40,000, never]"),
        (scaling_tables.Crossover(5000.0, 4000.0, np.inf, until=True), "to 5,000 [4,000, always]"),
    ],
)
def test_a_crossing_reads(at: scaling_tables.Crossover, text: str):
    assert str(scaling_tables.format_crossover(at, measured=1_000_000)) == text


def test_the_encoding_is_paid_back_in_epochs(section):
    sheet = titled(section, "After how many epochs the encoding has paid for itself")
    against = {row.label: row.values for row in sheet.rows}
    contexts = ("causal", "prefix")
    assert set(against) == {f"cosine against {rival}, {c}" for rival in break_even.RIVALS for c in contexts}
    softmax = against["cosine against softmax, causal"]
    assert softmax["10000"].text == "11"  # 0.1 ms a word against (12 − 3) / 1000
    assert softmax["1000000"].text == "–"
    assert against["cosine against sampled_softmax, causal"]["10000"].text == "never"
    assert against["cosine against softmax, prefix"]["10000"].text == "220"  # 2 ms a word


def test_without_an_encoder_of_that_machine_the_page_says_what_to_run():
    for others in ([], [encoder(threads=1)], [encoder(device="another")]):
        (heads, *_) = cost_report.sections([*sweep(), *others])
        assert not [sheet for sheet in heads.summary if "encoding" in sheet.title]
        assert heads.headline[-1].endswith(
            "not measured, run python -m bench +experiment=cost_encoder on this machine."
        )
    without = [dataclasses.replace(each, rows=each.rows[:2]) for each in sweep()]
    (heads,) = cost_report.sections(without)
    assert not [said for said in heads.headline if "cost_encoder" in said]


def test_the_encoder_has_a_section_of_its_own():
    old = encoder(finished_at="2025-01-01T00:00:00+00:00", rows=[])
    (only,) = encoder_report.sections([old, *sweep(), encoder()])
    assert only.facts == "bert · 4,096 words of c · fp32 · cpu, 2 threads"
    assert only.headline == [
        "A word takes 40 times as long by prefix as by causal, windows of 32.",
        "The mean cosine of a causal vector to the exact vector is 0.84, 0.94 where both read the same words.",
    ]
    speed, drift = only.summary
    assert texts(speed, "times_peer") == {
        "causal, windows of 128": "0.800 [0.776, 0.832]", "causal, windows of 32": "–",
        "bidirectional, windows of 32": "–", "prefix, windows of 32": "–",
        "plain causal, causal, windows of 128": "–", "equal prefix, prefix, windows of 32": "–",
    }  # fmt: skip
    assert [row.kind for row in speed.rows] == [""] * 4 + ["other library"] * 2
    assert texts(speed, "words_per_second")["prefix, windows of 32"] == "500 [485, 520]"
    assert texts(speed, "cosine_to_fp32")["causal, windows of 128"] == "0.999950"
    assert texts(drift, "own_nearest_within") == {"causal": "99.4", "prefix of another place": "–"}
    assert texts(drift, "cosine") == {"causal": "0.836", "prefix of another place": "0.0400"}
    assert "experiment=context" in drift.caption


def test_an_encoder_that_failed_says_why():
    lost = Reading(contender="prefix", context="prefix", window=32, status="oom", reason="4 GiB asked")
    (only,) = encoder_report.sections([encoder(rows=[*encoder().rows[:1], lost], drift=[])])
    (speed,) = only.summary
    assert speed.failures == [] and speed.rows[1].failures == ["× oom: 4 GiB asked"]
    assert speed.rows[1].label == "× prefix, windows of 32"


def test_the_published_ledgers_are_read(pytestconfig):
    folder = pytestconfig.rootpath / "results" / "reference" / "cost_sweep"
    assert len(ledgers.load([folder])) == len([*folder.glob("*.json")]) > 0


def test_a_ledger_of_no_known_kind_is_one_line(tmp_path: Path):
    (tmp_path / "loops-0123abcd.json").write_text("{}")
    with pytest.raises(SettingError, match=r"loops-0123abcd.json: is no kind of ledger .*encoder"):
        ledgers.load([tmp_path])


def test_the_encoding_is_paid_back_in_runs():
    common = {"experiment": "e", "head": None, "backbone": "lstm", "corpus": "c", "vocabulary_size": 1000}
    records = [
        Record(system="softmax", seed=seed, train_seconds=30.0 + seed, trained_words=1000, **common) for seed in (0, 2)
    ]
    records += [Record(system="mse", seed=0, train_seconds=22.0, trained_words=2000, encode_seconds=80.0, **common)]
    sheet = break_even.table_in_runs(run_table.cells(run_table.runs(records)))
    assert sheet.title == "After how many runs the encoding has paid for itself, c"
    assert {row.label: str(row.values["1000"]) for row in sheet.rows} == {
        "mse against softmax": "2.0 [1.8, 2.2]"  # 80 s against 62 − 22, give or take 4
    }
    assert break_even.table_in_runs(run_table.cells(run_table.runs(records[:2]))) is None


def test_a_sweep_of_which_every_job_failed_is_told_without_a_peak():
    row = Row(contender="all", part="head", vocabulary_size=1000, status="failed", reason="cost.rounds: 'a'; give one")
    (only,) = cost_report.sections([ledger(1000, [row], peak_gflops=[])])
    assert only.facts == "1,000 positions per step · hidden size 256 · word vectors of 384 · fp32 · cpu, 2 threads"
    (told,) = only.sizes[0].rows
    assert (told.label, told.failures) == ("× all", ["× failed: cost.rounds: 'a'; give one"])


def test_headline_groups_what_is_the_same(section):
    assert section.headline == ["cosine is cheaper than softmax at no V in decoding 1 query and decoding 256 queries."]


def test_one_figure_of_each_kind_with_a_cross_for_a_missing_measurement(section, frame):
    assert set(section.figures) == {function.__name__ for function in cost_plots.FIGURES}
    training, step, *_ = section.figures["cost_of_training"].axes
    crosses = [text for text in training.texts if text.get_text() == "×"]
    assert [(each.xy[0], each.get_color()) for each in crosses] == [(1_000_000, PUBLISHED["softmax"][0])]
    assert not [text for text in section.figures["cost_of_decoding"].axes[0].texts if text.get_text() == "×"]
    dashed = [line for line in training.lines if line.get_xdata()[-1] == 1e7]
    assert len(dashed) == 3  # none where there is no law
    assert [line for line in step.lines if line.get_xdata()[-1] == 1e7] == []


def test_names_beside_the_lines_do_not_overlap(section):
    for figure in section.figures.values():
        assert sum(bool(axis.texts) for axis in figure.axes) >= 2
        for axis in figure.axes:
            heights = sorted(text.get_position()[1] for text in axis.texts if text.get_text() != "×")
            assert all(height <= 1 for height in heights)
            assert (np.diff(heights) > cost_plots.NAME_HEIGHT - 1e-9).all()


def test_page_markdown_and_terminal_tell_the_same(swept: Path, capsys: pytest.CaptureFixture[str]):
    markdown, html = (swept / "costs.md").read_text(), (swept / "index.html").read_text()
    assert "| cosine against softmax, causal | never [" in markdown
    assert "## What the encoder costs" in markdown and "| vectors | cosine ↑ |" in markdown
    assert '<h2 class="group">What the encoder costs</h2>' in html and "<th>context</th>" in html
    assert "cosine against softmax, causal" in html and "× oom: step: 4 GiB asked" in html
    assert "× liger* (other library) × missing: needs a GPU" in markdown
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert {f"costs-{column.name}" for column in cost_glossary.EVERY_COST} <= set(ids)
    assert html.count("<svg") == 4 + 1  # of ledgers; of the one record, quality by system
    assert {path.stem for path in (swept / "figures").glob("cost_*.svg")} >= {"cost_of_training", "cost_in_memory"}
    assert (swept / "leaderboard.md").is_file()
    assert "<dt>cost ledgers</dt><dd>5</dd>" in html


def test_records_and_ledgers_are_told_apart(swept: Path):
    assert [path.stem for path, _ in read_records([swept])] == ["softmax-c-v1000-s0-0123abcd"]
    assert len(ledgers.load([swept])) == len(SIZES) + 1
    assert HeadLedger.read(swept / "v1000-0123abcd.json") == sweep()[0]


def test_of_two_ledgers_of_one_kind_the_last_counts_and_other_machines_have_sections_of_their_own(tmp_path: Path):
    old, new = (ledger(1000, [row("cosine", 1000, step_ms=span(ms))], finished_at=f"2026-01-0{day}") for ms, day in
                ((9.0, 2), (5.0, 3)))  # fmt: skip
    other = ledger(1000, [row("cosine", 1000)], precision="bf16")
    for i, each in enumerate((new, old, other)):
        each.write(tmp_path / f"v1000-0000000{i}")
    frame = cost_report.rows(ledgers.load([tmp_path]))
    assert sorted(cost_tables.median_of(each) for each in frame.step_ms) == [2.0, 5.0]
    found = [*cost_report.sections(ledgers.load([tmp_path]))]
    assert [each.name for each in found] == ["-bf16", "-fp32"]
    assert found[0].headline[0] == "No laws and no crossovers: a law needs 4 V, and 1 were measured."
    assert [sheet.title for sheet in found[0].summary] == []


def test_a_broken_ledger_is_one_line(tmp_path: Path):
    path = tmp_path / "v1000-0123abcd.json"
    path.write_text('{"schema": 1}')
    with pytest.raises(SettingError, match=r"v1000-0123abcd.json: is not a ledger"):
        report([tmp_path], tmp_path)


@pytest.mark.parametrize(
    "at, text",
    [
        (cost_report.Crossover(2345.0, 1900.0, 2800.0), "from V = 2,300 on"),
        (cost_report.Crossover(2.345e6, 1.2e6, np.inf), "at no V that was measured (uncertain beyond)"),
        (cost_report.Crossover(2.345e6, 1.2e6, 8e6), "from V = 2,300,000 on (extrapolated)"),
        (cost_report.Crossover(5000.0, 4000.0, np.inf, until=True), "up to V = 5,000"),
        (cost_report.Crossover(0.0, 0.0, 0.0), "at every V"),
        (cost_report.Crossover(np.inf, 9000.0, np.inf), "at no V"),
        (cost_report.Crossover(3000.0, 0.0, np.inf), "or dearer, which cannot be distinguished,"),
    ],
)
def test_a_crossing_in_a_sentence(at: cost_report.Crossover, text: str):
    assert cost_report.place_text(at, measured=1_000_000) == text
