"""Colours, markers and lines of systems and their variants."""

from factories.records import KINDS, SYSTEMS, partial_record

from bench.report import run_table
from bench.report.plot_style import PUBLISHED, line_styles


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
