"""Figures of runs: panels, texts, files."""

import itertools
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from factories.records import SIZES, partial_record, sweep_records, write_all
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from bench.report import plots, report, run_table, save
from bench.report.plot_style import WIDTH


def test_figures_are_written_in_one_format(sweep_report: Path, tmp_path: Path):
    others = {"quality_by_system", "cost_by_system", "accuracy_lost"}  # of one V, or of a diagnosis
    names = {function.__name__ for function in plots.FIGURES} - others
    assert {path.name for path in (sweep_report / "figures").iterdir()} == {f"{name}.svg" for name in names}
    write_all(sweep_records()[:1], tmp_path)
    report([tmp_path], tmp_path, "png")
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png"}
    assert "<svg" in (tmp_path / "index.html").read_text()


def test_figure_by_system_has_a_row_per_system_sorted_by_bits_per_byte():
    runs = run_table.runs([record for record in sweep_records() if record.vocabulary_size == 1000])
    figures = plots.draw(runs, run_table.cells(runs))
    assert {"quality_by_system", "cost_by_system"} <= figures.keys()
    assert not {"quality_vs_vocabulary", "cost_vs_vocabulary"} & figures.keys()
    first, *_ = figures["quality_by_system"].axes
    bits = runs.groupby("label").bits_per_byte.mean().sort_values()
    assert [label.get_text() for label in first.get_yticklabels()] == list(bits.index)
    points = [line.get_xdata() for line in first.lines if len(line.get_xdata()) == 1 and line.get_marker() not in "|"]
    assert np.ravel(points) == pytest.approx(bits.to_numpy())
    panels = figures["cost_by_system"].axes
    assert [panel.get_title("left") for panel in panels] == ["train s ↓", "decode ms, 1 ↓", "peak MiB ↓"]
    seconds = runs[runs.competes].groupby("label").train_seconds.mean()
    assert [bar.get_width() for bar in panels[0].patches] == pytest.approx(
        seconds[[*bits.index.intersection(seconds.index)]]
    )
    assert panels[0].get_xlim()[0] == 0


def test_quality_against_cost_has_no_panel_for_a_cost_that_nothing_has(tmp_path):
    """FLOPs are known and times are not, as when the times of several machines do not compare."""
    runs = run_table.runs([partial_record(bits_per_byte=2.0, flops_per_position=1e6, trained_words=1000)])
    figure = plots.draw(runs, run_table.cells(runs))["quality_vs_cost"]
    assert [panel.get_xlabel() for panel in figure.axes] == ["training FLOPs"]
    save(figure, tmp_path / "figure.svg")  # a logarithmic axis without a point cannot be drawn


def test_figure_by_system_shows_a_cross_when_every_run_failed():
    runs = run_table.runs(
        [partial_record(bits_per_byte=2.0), partial_record(system="mse", status="oom", reason="no memory")]
    )
    first, *_ = plots.draw(runs, run_table.cells(runs))["quality_by_system"].axes
    assert [text.get_text() for text in first.texts] == ["2.000", "×"]


def overlapping(boxes: list[Bbox]) -> list[tuple[Bbox, Bbox]]:
    """Return the pairs of boxes that overlap by more than a pixel on each side."""
    return [(a, b) for a, b in itertools.combinations(boxes, 2) if Bbox.intersection(a.padded(-1), b.padded(-1))]


@pytest.mark.parametrize("label", ["{}", "{} (targets.name=bert, targets.level=token)"])
@pytest.mark.parametrize("sizes", [SIZES, SIZES[:1]])
def test_texts_of_a_figure_neither_overlap_nor_leave_the_figure(sizes: tuple[int, ...], label: str):
    runs = run_table.runs([record for record in sweep_records() if record.vocabulary_size in sizes])
    cells = run_table.cells(runs)
    runs, cells = (frame.assign(label=frame.label.map(label.format)) for frame in (runs, cells))
    for name, figure in plots.draw(runs, cells).items():
        canvas = FigureCanvasAgg(figure)
        with matplotlib.rc_context(plots.STYLE):
            canvas.draw()
        axes = [axis for panel in figure.axes if panel.axison for axis in (panel.xaxis, panel.yaxis)]
        ticks = {axis: sorted(axis.get_view_interval()) for axis in axes}
        unseen = {
            tick.label1 for axis, (low, high) in ticks.items() for tick in axis.get_major_ticks()
            if not low <= tick.get_loc() <= high
        }  # fmt: skip
        texts = [text for text in figure.findobj(Text) if text.get_text() not in ("", "×") and text.get_visible()]
        texts = [text for text in texts if text not in unseen and (text.axes is None or text.axes.axison)]
        boxes = [text.get_window_extent() for text in texts]
        assert len(boxes) > 10
        assert overlapping(boxes) == [], name
        width, height = canvas.get_width_height()
        assert min(box.x0 for box in boxes) >= 0 and min(box.y0 for box in boxes) >= 0, name
        assert max(box.x1 for box in boxes) <= width and max(box.y1 for box in boxes) <= height, name
        assert figure.get_figwidth() == WIDTH


def test_floor_alone_has_a_figure_of_quality_and_none_of_cost():
    runs = run_table.runs([partial_record(system="unigram", bits_per_byte=3.0)])
    assert list(plots.draw(runs, run_table.cells(runs))) == ["quality_by_system"]


def test_equal_records_give_equal_bytes(tmp_path: Path):
    runs = run_table.runs(sweep_records()[:2])
    for name in ("once", "twice"):
        figure = plots.draw(runs, run_table.cells(runs))["quality_vs_cost"]
        for kind in ("svg", "png"):
            save(figure, tmp_path / f"{name}.{kind}")
    for kind in ("svg", "png"):
        assert (tmp_path / f"once.{kind}").read_bytes() == (tmp_path / f"twice.{kind}").read_bytes()


def test_untrained_system_is_left_out_of_the_figure_of_training_cost():
    runs = run_table.runs([partial_record(system="truth", bits_per_byte=1.0)])
    assert "quality_vs_cost" not in plots.draw(runs, run_table.cells(runs))


def test_unlisted_system_has_one_colour_in_figures_with_and_without_another_unlisted_system():
    records = [
        partial_record(system="a_head", bits_per_byte=2.0, vocabulary_size=1000),
        *(
            partial_record(system="b_head", bits_per_byte=2.1, train_seconds=9.0, vocabulary_size=size)
            for size in (1000, 5000)
        ),
    ]
    runs = run_table.runs(records)
    figures = plots.draw(runs, run_table.cells(runs))
    legends = {name: figures[name].legends[0] for name in ("quality_vs_vocabulary", "quality_vs_cost")}
    texts = {name: [text.get_text() for text in legend.get_texts()] for name, legend in legends.items()}
    assert texts["quality_vs_vocabulary"] == ["a_head", "b_head"] and "a_head" not in texts["quality_vs_cost"]
    assert (
        len({legend.legend_handles[texts[name].index("b_head")].get_color() for name, legend in legends.items()}) == 1
    )


def test_figures_show_the_times_of_one_machine_and_commit():
    records = [
        partial_record(
            system=system,
            seed=seed,
            bits_per_byte=2.0 + seed / 10,
            train_seconds=10.0 + seed,
            flops_per_position=2.0,
            trained_words=100,
            git_commit=commit * 40,
            curve=[{"words": 100, "seconds": 10.0 + seed, "flops": 200, "validation_nats": 5.0}],
        )
        for system in ("softmax", "mse")
        for seed, commit in enumerate("aab")
        if (system, commit) != ("mse", "a")
    ]
    runs = run_table.runs(records)
    figures = plots.draw(runs, run_table.cells(runs))
    cost, curves = figures["quality_vs_cost"], figures["learning_curves"]
    assert cost.get_suptitle() == "Quality against training cost (times: commit aaaaaaa)"
    seconds, flops = ({float(x) for line in axis.lines for x in line.get_xdata() if x > 1} for axis in cost.axes)
    assert (seconds, flops) == ({10.5}, {200.0})  # the mean of softmax's runs of this commit; mse has none
    bits = {float(y) for line in cost.axes[1].lines for y in line.get_ydata()}
    assert {2.1, 2.2} <= bits  # means of softmax and of mse, whose FLOPs need no clock
    assert [len(axis.lines) for axis in curves.axes] == [2, 1, 2]  # words, seconds, FLOPs
    assert "times" not in figures["quality_by_system"].get_suptitle()
    labels = [label.get_text() for label in figures["quality_by_system"].axes[0].get_yticklabels()]
    assert sorted(labels) == ["mse", "softmax"]
