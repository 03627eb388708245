"""Figures of head ledgers."""

import numpy as np
import pandas as pd

from bench.report import cost_plots
from bench.report.ledgers import Section
from bench.report.plot_style import PUBLISHED


def test_each_kind_has_a_figure_with_a_cross_for_a_missing_measurement(section: Section, frame: pd.DataFrame):
    assert set(section.figures) == {function.__name__ for function in cost_plots.FIGURES}
    training, step, *_ = section.figures["cost_of_training"].axes
    crosses = [text for text in training.texts if text.get_text() == "×"]
    assert [(each.xy[0], each.get_color()) for each in crosses] == [(1_000_000, PUBLISHED["softmax"][0])]
    assert not [text for text in section.figures["cost_of_decoding"].axes[0].texts if text.get_text() == "×"]
    dashed = [line for line in training.lines if line.get_xdata()[-1] == 1e7]
    assert len(dashed) == 3  # none where there is no law
    assert [line for line in step.lines if line.get_xdata()[-1] == 1e7] == []


def test_no_figure_of_indexes_is_drawn_if_none_was_built(frame: pd.DataFrame):
    """As on a machine without faiss."""
    absent = frame.assign(approximate=[[{"index": "faiss", "reason": "pip install faiss-cpu"}]] * len(frame))
    assert "approximate_decoding" not in cost_plots.draw(absent, {})
    assert "approximate_decoding" in cost_plots.draw(frame, {})


def test_names_beside_the_lines_do_not_overlap(section: Section):
    for figure in section.figures.values():
        assert sum(bool(axis.texts) for axis in figure.axes) >= 2
        for axis in figure.axes:
            heights = sorted(text.get_position()[1] for text in axis.texts if text.get_text() != "×")
            assert all(height <= 1 for height in heights)
            assert (np.diff(heights) > cost_plots.NAME_DISTANCE - 1e-9).all()
