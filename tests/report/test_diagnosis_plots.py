"""Figure of lost accuracy: segments that sum to the reference's accuracy, and no figure without a diagnosis."""

import pytest
from factories.records import partial_record

from bench.report import plots, run_table

PARTS = {"lost_to_target_ambiguity": 0.0, "lost_to_conditional_mean": 0.06, "lost_to_fit": -0.01}


def diagnosed(system: str, own: float, seed: int = 0, **more: float | None):
    parts = PARTS | {"accuracy_at_1": own, "reference_accuracy_at_1": 0.2} | more
    parts["lost_to_decoding"] = (
        0.2 - own - sum(value for name, value in parts.items() if name.startswith("lost") and value is not None)
    )
    return partial_record(system=system, seed=seed, accuracy_at_1=own, bits_per_byte=2.0, diagnosis=parts)


def figure_of(*records):
    runs = run_table.runs(list(records))
    return plots.draw(runs, run_table.cells(runs)).get("accuracy_lost")


def test_runs_without_a_diagnosis_have_no_such_figure():
    assert figure_of(partial_record(bits_per_byte=2.0)) is None


def test_segments_lead_from_own_accuracy_to_that_of_the_reference():
    figure = figure_of(diagnosed("cosine", 0.12, 0), diagnosed("cosine", 0.14, 1), diagnosed("mse", 0.1))
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["cosine", "mse"]  # the most accurate first
    for row, own in enumerate((0.13, 0.1)):
        bars = [bar for bar in axis.patches if bar.get_y() < row < bar.get_y() + bar.get_height()]
        assert bars[0].get_width() == pytest.approx(own / 0.2 * 100)
        assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(100)
        gains = [bar for bar in bars if bar.get_hatch()]
        assert [bar.get_width() for bar in gains] == [pytest.approx(-5)]
    assert [text.get_text() for text in axis.texts] == ["13.0 % of 20.0 %", "10.0 % of 20.0 %"]


def test_joint_part_is_drawn_where_parts_cannot_be_separated():
    joint = {"lost_to_conditional_mean": None, "lost_to_fit": None, "lost_to_conditional_mean_and_fit": 0.03}
    figure = figure_of(diagnosed("infonce", 0.15, **joint))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "conditional mean and training" in names and "training" not in names
