"""Intervals and paired differences in tables."""

from pathlib import Path

import pytest
from factories.records import blocked_record, partial_record
from factories.reports import rows_of, written_report

from bench.core.record import write_record
from bench.report import leaderboard, report, run_table, significance


def test_intervals_and_paired_differences_are_shown_beside_the_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    records = [blocked_record("softmax", 2.0), blocked_record("mse", 2.1, 0.02), blocked_record("cosine", 2.001, 0.02)]
    markdown, html = written_report([*records, partial_record(system="adaptive_softmax", bits_per_byte=3.0)], tmp_path)
    first, _, *_ = rows_of(markdown, "mse")
    assert first[1] == "2.106† [1.94, 2.28]"
    assert rows_of(markdown, "softmax")[0][1] == "**2.006 [1.84, 2.17]**"
    assert "†" not in rows_of(markdown, "cosine")[0][1]
    against = markdown.split("### Differences to softmax")[1].split("## What")[0]
    ((_, bits, accuracy, *_),) = rows_of(against, "mse")
    assert bits == "**+0.100 [+0.085, +0.115] p = .008**"
    assert accuracy == "0.00 [0.00, 0.00] p = 1.000"
    assert rows_of(against, "adaptive_softmax") == []  # no blocks, no interval
    assert rows_of(markdown, "adaptive_softmax")[0][1] == "3.000"
    assert html.count('<small class="under">[1.94, 2.28]</small>') == 1
    assert "† differs from softmax: the interval of the paired difference excludes 0" in html
    for record in records:
        write_record(record, tmp_path / record.system)
    report([tmp_path], tmp_path)
    out = capsys.readouterr().out
    assert "2.106†" in out and "[1.95" not in out


def test_interval_is_left_out_when_seeds_were_tested_on_different_texts():
    other = blocked_record("softmax", 2.0, seed=1)
    other.blocks["words"][0] += 1
    (row,) = leaderboard.rows(run_table.cells(run_table.runs([blocked_record("softmax", 2.0), other])))
    assert row.values["bits_per_byte"].interval == ""
    assert row.values["bits_per_byte"].text == "2.006"


def test_reference_is_the_best_variant_of_full_softmax():
    configs = [{"inputs": inputs} for inputs in ("learned", "contextual")]
    records = [blocked_record("softmax", bits, config=c) for bits, c in zip((2.0, 2.1), configs, strict=True)]
    cells = run_table.cells(run_table.runs([*records, blocked_record("mse", 2.2)]))
    assert significance.reference(cells).label == "softmax, learned inputs"
    assert [row.label for row in significance.differences(cells).rows] == ["softmax, contextual inputs", "mse"]
