"""Figure of quality against training words."""

import dataclasses
from pathlib import Path

import pytest
from factories.records import blocked_record, write_all

from bench.core.record import Record
from bench.report import report, run_table
from bench.report.plot_style import line_styles
from bench.report.words_plots import quality_vs_words


def scaling_records(words: tuple[int | None, ...], seconds: float | None = None) -> list[Record]:
    """Records of two systems with each budget, whose bits per byte fall by a tenth from budget to budget."""
    return [
        blocked_record(
            system,
            bits - 0.1 * step,
            config={"system": {"kind": kind}, "budget": {"words": limit, "seconds": seconds}},
            vocabulary_size=1000,
        )
        for system, bits, kind in (("softmax", 2.0, "classifier"), ("cosine", 2.4, "regressor"))
        for step, limit in enumerate(words)
    ]


def drawn(records: list[Record]):
    runs = run_table.runs(records)
    cells = run_table.cells(runs)
    return quality_vs_words(runs, cells, line_styles(cells))


def test_figure_has_a_line_per_system_over_the_words_of_its_budgets():
    bits, accuracy = drawn(scaling_records((3000, 1000, 9000))).axes[:2]
    lines = {tuple(line.get_xdata()): line.get_ydata() for line in bits.lines if len(line.get_xdata()) == 3}
    assert set(lines) == {(1000.0, 3000.0, 9000.0)}
    softmax, cosine = sorted((container.lines[0].get_ydata() for container in bits.containers), key=min)
    assert cosine - softmax == pytest.approx([0.4, 0.4, 0.4])
    assert softmax == pytest.approx([1.90625, 2.00625, 1.80625])
    assert bits.get_title() == "bits per byte ↓, V = 1,000" and len(accuracy.containers) == 2


@pytest.mark.parametrize(("words", "seconds"), [((1000,), None), ((None,), 15.0), ((1000, 2000), 15.0)])
def test_figure_is_left_out_without_two_limits_of_words_alone(words, seconds):
    assert drawn(scaling_records(words, seconds)) is None


def test_report_writes_the_figure_of_a_sweep_over_words(tmp_path: Path):
    write_all(scaling_records((1000, 2000)), tmp_path)
    report([tmp_path], tmp_path)
    assert (tmp_path / "figures" / "quality_vs_words.svg").stat().st_size > 1000


def test_panels_of_time_are_left_out_if_other_work_slowed_every_run():
    timed = [dataclasses.replace(each, train_seconds=10.0) for each in scaling_records((1000, 2000))]
    slowed = [dataclasses.replace(each, cpu_share=0.5) for each in timed]
    assert len(drawn(timed).axes) == 4  # two figures against words, and against time
    assert len(drawn(slowed).axes) == 2


def test_text_that_is_read_again_does_not_grow():
    records = [dataclasses.replace(each, text_words=1000) for each in scaling_records((500, 1000, 9000))]
    assert set(drawn(records).axes[0].lines[0].get_xdata()) <= {500.0, 1000.0}
    assert drawn([dataclasses.replace(each, text_words=100) for each in records]) is None
