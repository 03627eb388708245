"""Colours, markers and lines of systems and their variants."""

import itertools

import numpy as np
import pytest
from factories.records import KINDS, SYSTEMS, partial_record
from matplotlib.colors import to_rgb

from bench.report import run_table
from bench.report.plot_style import LINES, PUBLISHED, line_styles


def test_unlisted_system_has_a_colour_and_a_marker_that_no_other_has():
    systems = list(dict.fromkeys([*SYSTEMS, *PUBLISHED, *(f"their_head_{i}" for i in range(30))]))
    styles = line_styles(run_table.cells(run_table.runs([partial_record(system=system) for system in systems])))
    trained = [styles[system] for system in systems if system not in KINDS]
    for key in ("color", "marker"):
        assert len({style[key] for style in trained}) == len(trained)


def test_variants_of_a_system_differ_in_line_and_fill_and_share_the_colour():
    configs = [{"inputs": inputs} for inputs in ("learned", "contextual")]
    styles = line_styles(
        run_table.cells(run_table.runs([partial_record(config=config) for config in configs]))
    ).values()
    assert [len({str(style[key]) for style in styles}) for key in ("linestyle", "fillstyle", "color", "marker")] == [
        2, 2, 1, 1,
    ]  # fmt: skip


def test_variants_of_a_floor_are_grey_and_differ_in_line():
    records = [
        partial_record(system="ngram", config={"system": {"kind": "floor", "model": {"order": order}}})
        for order in (3, 5)
    ]
    three, five = line_styles(run_table.cells(run_table.runs(records))).values()
    assert three["color"] == five["color"] and three["linestyle"] != five["linestyle"]


def test_systems_differ_in_marker_or_fill_so_that_figures_can_be_read_in_grey():
    configs = [{"inputs": inputs} for inputs in ("learned", "contextual")]
    records = [partial_record(system=system, config=config) for system in PUBLISHED for config in configs]
    styles = line_styles(run_table.cells(run_table.runs(records))).values()
    assert len({(style["marker"], style["fillstyle"]) for style in styles}) == len(styles) == 2 * len(PUBLISHED)


def test_neighbouring_systems_differ_in_line():
    styles = line_styles(run_table.cells(run_table.runs([partial_record(system=system) for system in PUBLISHED])))
    lines = [str(styles[system]["linestyle"]) for system in PUBLISHED]
    assert len(set(lines[: len(LINES)])) == len(LINES)
    assert all(first != second for first, second in itertools.pairwise(lines))


COLOUR_VISION = {  # linear RGB as seen with full vision, and without one kind of cone (Machado et al. 2009, severity 1)
    "full": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def linear(colour: str) -> np.ndarray:
    """Return linear RGB of sRGB. [3]"""
    channels = np.array(to_rgb(colour))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def cielab(rgb: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* of linear RGB, white D65. [3]"""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ rgb / (0.9505, 1, 1.089)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", COLOUR_VISION)
def test_published_colours_are_distinct_to_colour_blind_readers(vision: str):
    """A difference of 2.3 is just noticeable, side by side."""
    seen = [cielab(np.clip(COLOUR_VISION[vision] @ linear(colour), 0, 1)) for colour, _ in PUBLISHED.values()]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 12


def test_colours_stand_out_from_the_background():
    light = [float(np.dot([0.2126, 0.7152, 0.0722], linear(colour))) for colour, _ in PUBLISHED.values()]
    assert min(1.05 / (each + 0.05) for each in light) > 2.2  # contrast as in WCAG; Okabe and Ito's least is 2.25
