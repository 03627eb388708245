"""Specifications of the interactive figure."""

import pandas as pd
import pytest
import vl_convert
from factories.records import partial_record, sweep_records

from bench.report import page_charts, page_script, run_table


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    return run_table.cells(run_table.runs(sweep_records()))


def test_every_trained_cell_has_a_marker_with_its_figures(cells: pd.DataFrame):
    spec = page_charts.quality_vs_cost(cells)["training seconds"]
    points = {(each["label"], each["size"]): each for each in spec["data"]["values"]}
    trained = cells[cells.competes & cells.bits_per_byte.notna()]
    assert points.keys() == {(cell.label, cell.vocabulary_size) for _, cell in trained.iterrows()}
    for _, cell in trained.iterrows():
        point = points[cell.label, cell.vocabulary_size]
        assert (point["cost"], point["bits"]) == (cell.train_seconds, cell.bits_per_byte)
        assert point["bits_text"].startswith(f"{cell.bits_per_byte:.3f}"[:4]) and point["seconds"].endswith(" s")


def test_front_holds_the_points_that_no_other_dominates(cells: pd.DataFrame):
    points = page_charts.quality_vs_cost(cells)["training FLOPs"]["data"]["values"]
    for point in points:
        dominated = any(
            other["cost"] <= point["cost"] and other["bits"] <= point["bits"] and other is not point for other in points
        )
        assert point["front"] is not dominated


def test_no_figure_without_a_trained_system():
    runs = run_table.runs([partial_record(system="unigram", bits_per_byte=3.0)])
    assert page_charts.quality_vs_cost(run_table.cells(runs)) == {}


def test_vega_lite_draws_the_specification_in_the_version_of_the_page(cells: pd.DataFrame):
    spec = page_charts.quality_vs_cost(cells)["training seconds"] | {"width": 800}
    svg = vl_convert.vegalite_to_svg(spec, vl_version=page_script.VEGA_LITE)
    assert svg.count('aria-roledescription="point"') == len(spec["data"]["values"])
    assert "adaptive_softmax" in svg and "bits per byte" in svg
