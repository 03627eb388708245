"""Intervals and paired differences in tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories.records import blocked_record, partial_record
from factories.reports import rows_of, written_report

from bench.core.record import Record, write_record
from bench.evaluation.metrics import METRICS
from bench.report import leaderboard, report, run_table, significance
from bench.report.paired_test import PairedTest


def seeds_of(system: str, bits: float, noise: float = 0.0, seeds: int = 3, **fields: object) -> list[Record]:
    """Return records of one cell whose seeds differ by a thousandth of a bit per byte."""
    return [blocked_record(system, bits + 0.001 * seed, noise, seed=seed, **fields) for seed in range(seeds)]


def cells_of(records: list[Record]) -> pd.DataFrame:
    return run_table.cells(run_table.runs(records))


def test_intervals_and_paired_differences_are_shown_beside_the_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    records = [*seeds_of("softmax", 2.0), *seeds_of("mse", 2.1, 0.02), *seeds_of("cosine", 2.001, 0.02)]
    markdown, html = written_report([*records, partial_record(system="adaptive_softmax", bits_per_byte=3.0)], tmp_path)
    first, _, *_ = rows_of(markdown, "mse")
    assert first[1] == "2.107† ± 0.0006 [2.01, 2.21]"
    assert rows_of(markdown, "softmax")[0][1] == "**2.007 ± 0.0006 [1.90, 2.11]**"
    assert "†" not in rows_of(markdown, "cosine")[0][1]
    against = markdown.split("### Differences to softmax")[1].split("## What")[0]
    ((_, bits, accuracy, *_),) = rows_of(against, "mse")
    assert bits == "**+0.100 [+0.089, +0.111] p < .001**"
    assert accuracy == "0.00 [0.00, 0.00] p = 1.000"
    assert "corrected for the 4 comparisons of this table (Holm)" in against
    assert rows_of(against, "adaptive_softmax") == []  # no blocks, no interval
    assert rows_of(markdown, "adaptive_softmax")[0][1] == "3.000"
    assert html.count('<small class="under">[2.01, 2.21]</small>') == 1
    legend = (
        "† differs from softmax: p < .05 in a paired t-test across seeds and documents, corrected for 4 comparisons"
    )
    assert all(legend.replace("<", "&lt;") in text for text in (markdown, html))
    for record in records:
        write_record(record, tmp_path / f"{record.system}-{record.seed}")
    report([tmp_path], tmp_path)
    out = capsys.readouterr().out
    assert "2.107†" in out and "[1.9" not in out and "[2.0" not in out


def test_interval_is_wider_when_seeds_differ():
    column = METRICS["bits_per_byte"]
    (one,) = cells_of([blocked_record("softmax", 2.0)]).iloc
    (three,) = cells_of([blocked_record("softmax", 2.0 + shift, seed=i) for i, shift in enumerate((0, 0.1, -0.1))]).iloc
    low, high = significance.interval_ends(one, column)
    t_of_two_degrees = 4.302653
    reach = t_of_two_degrees * 0.1 / 3**0.5
    mean = 2.00625
    expected = mean - np.hypot(mean - low, reach), mean + np.hypot(high - mean, reach)
    assert significance.interval_ends(three, column) == pytest.approx(expected, abs=1e-6)
    assert significance.interval_text(three, column, None) == "[1.74, 2.28]"


def test_no_mark_is_set_when_a_system_has_one_seed():
    cells = cells_of([*seeds_of("softmax", 2.0), blocked_record("mse", 2.5), *seeds_of("cosine", 2.1)])
    comparisons = significance.compare(cells)
    assert {label: each.is_significant for (label, name), each in comparisons.by_cell.items() if "bits" in name} == {
        "mse": False,
        "cosine": True,
    }
    assert "not tested, since † needs two seeds and 12 blocks of documents: mse" in leaderboard.legend(
        cells, comparisons
    )
    table = significance.differences(cells, comparisons)
    one, three = (row.values["bits_per_byte"] for row in sorted(table.rows, key=lambda row: row.label, reverse=True))
    assert (one.note, one.leads, three.note, three.leads) == ("", False, "p < .001", True)
    assert "Without p: a trained system has one seed" in table.caption


def test_count_model_of_one_seed_is_tested_since_training_seeds_do_not_change_it():
    cells = cells_of([*seeds_of("softmax", 2.0), blocked_record("ngram", 2.5)])
    assert significance.compare(cells).by_cell["ngram", "bits_per_byte"].is_significant


def test_interval_is_left_out_when_seeds_were_tested_on_different_texts():
    other = blocked_record("softmax", 2.0, seed=1)
    other.blocks["words"][0] += 1
    (row,) = leaderboard.rows(run_table.cells(run_table.runs([blocked_record("softmax", 2.0), other])))
    assert row.values["bits_per_byte"].interval == ""
    assert row.values["bits_per_byte"].text == "2.006"


def test_cell_is_compared_with_the_softmax_of_its_own_trunk():
    trunks = [
        {"backbone": "lstm", "config": {"backbone": {"name": "lstm"}, "inputs": "learned"}},
        {"backbone": "gru", "config": {"backbone": {"name": "gru"}, "inputs": "learned"}},
        {"backbone": "lstm", "config": {"backbone": {"name": "lstm"}, "inputs": "contextual"}},
    ]
    records = [record for i in (0, 1) for record in seeds_of("softmax", 2.0 + i / 10, **trunks[i])]
    records += [record for i in (0, 1, 2) for record in seeds_of("infonce", 2.05 + i / 10, **trunks[i])]
    records += seeds_of("gpt2", 2.4, backbone=None)
    cells = cells_of(records)
    comparisons = significance.compare(cells)
    assert comparisons.baselines == {
        "softmax, lstm": "softmax, lstm",
        "softmax, gru": "softmax, gru",
        "infonce, learned inputs, lstm": "softmax, lstm",
        "infonce, learned inputs, gru": "softmax, gru",
        "gpt2": "softmax, lstm",  # no trunk of this project: the best softmax
    }
    means = {label: each.test.mean for (label, name), each in comparisons.by_cell.items() if name == "bits_per_byte"}
    assert means == pytest.approx(
        {"infonce, learned inputs, lstm": 0.05, "infonce, learned inputs, gru": 0.05, "gpt2": 0.4}
    )
    legend = leaderboard.legend(cells, comparisons)
    assert "not compared, since no softmax has the same trunk: infonce, contextual inputs" in legend
    assert "System minus the softmax of the same trunk" in significance.differences(cells, comparisons).caption


def test_baseline_is_the_best_variant_of_the_named_system_or_the_named_variant():
    configs = [{"system": {"kind": "classifier"}, "optimizer": {"lr": lr}} for lr in (0.1, 0.2)]
    records = [record for i in (0, 1) for record in seeds_of("nce", 2.0 + i / 10, config=configs[i])]
    cells = cells_of([*records, *seeds_of("softmax", 1.9)])
    best, worse = "nce, optimizer lr 0.1", "nce, optimizer lr 0.2"
    assert set(significance.compare(cells, "nce").baselines.values()) == {best}
    assert set(significance.compare(cells, worse).baselines.values()) == {worse}
    table = significance.differences(cells, significance.compare(cells, "nce"))
    assert (table.title, [row.label for row in table.rows]) == ("Differences to nce", ["softmax", worse])


def test_runs_that_differ_in_generated_text_alone_are_one_run():
    configs = [{"generation": {"words": words}} for words in (20, 64)]
    times = ["2026-01-02", "2026-01-01"]
    pairs = zip(configs, times, strict=True)
    records = [partial_record(bits_per_byte=2.0, config=config, finished_at=time) for config, time in pairs]
    runs = run_table.runs(records)
    assert (list(runs.label), list(runs.finished_at), list(runs.replaced)) == (["softmax"], ["2026-01-02"], [1])
    assert "runs left out since they differ in `generation.*` alone: 1" in leaderboard.facts(runs)
    assert "left out" not in leaderboard.facts(run_table.runs(records[:1]))


def test_pre_trained_model_does_not_lead_and_is_tested_across_its_seeds():
    pretrained = {"system": {"kind": "classifier", "pretrained": "smollm2-135m"}}
    records = [
        *seeds_of("softmax", 2.0),
        *seeds_of("smollm2-135m", 1.5, config=pretrained),
        *seeds_of("nce", 2.1),
    ]
    cells = cells_of(records)
    assert cells.label.tolist() == ["softmax", "nce", "smollm2-135m"]
    (board,) = leaderboard.leaderboards(run_table.runs(records), cells)
    values = {row.title: row.values["bits_per_byte"] for row in board.systems.rows}
    assert values["softmax"].leads and not values["smollm2-135m (pre-trained)"].leads
    one_seed = cells_of([*seeds_of("softmax", 2.0), *seeds_of("smollm2-135m", 1.5, seeds=1, config=pretrained)])
    assert significance.compare(one_seed).by_cell["smollm2-135m", "bits_per_byte"].p is None


def test_rivals_of_one_system_are_corrected_by_holm_and_those_without_p_are_not_counted(monkeypatch):
    """By Bonferroni, only the first of these differs."""
    tests = [PairedTest(1, 0, 2, p) for p in (0.01, 0.02, None, 0.04)]
    rivals = [pd.Series({"label": name}) for name in "abcd"]
    monkeypatch.setattr(significance, "difference", lambda other, first, column: tests["abcd".index(other.label)])

    def found() -> list[bool | None]:
        return [each.differs for each in significance.compared_with(None, rivals, "bits_per_byte").values()]

    assert found() == [True, True, None, True]
    tests[0] = PairedTest(1, 0, 2, 0.02)
    assert found() == [False, False, None, False]
