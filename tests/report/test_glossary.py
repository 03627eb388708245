"""Definitions of the leaderboard's columns."""

from factories.records import sweep_records

from bench.evaluation.metric_definition import ARROW
from bench.evaluation.metrics import measured_metrics
from bench.report import run_table
from bench.report.glossary import every_column


def test_every_column_is_a_field_of_the_cells_with_meaning_and_direction():
    cells = run_table.cells(run_table.runs(sweep_records()))
    every = every_column()
    assert {column.name for column in every} <= {*cells.columns}
    assert measured_metrics().keys() <= {column.name for column in every}
    assert all(column.direction in ARROW and column.meaning.endswith(".") for column in every)
    assert len({column.heading for column in every}) == len(every)
