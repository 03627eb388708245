"""The page's leaderboard: at most seven columns, facts to filter by, figures to sort by."""

import pytest
from factories.records import partial_record, sweep_records

from bench.core.record import Record
from bench.report import run_table
from bench.report.leaderboard import leaderboards
from bench.report.origins import with_times_of_one_origin
from bench.report.page_table import LAST, MOST_COLUMNS, PageTable, page_table


def table(records: list[Record]) -> PageTable:
    """Return the page's leaderboard of these records."""
    runs = run_table.runs(records)
    cells = run_table.cells(runs)
    timed = run_table.cells(with_times_of_one_origin(runs)[0])
    found = page_table([*leaderboards(runs, cells)], timed)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def swept() -> PageTable:
    """The page's leaderboard of the synthetic sweep."""
    return table(sweep_records())


def test_first_columns_are_those_of_the_needs_and_the_others_are_on_demand(swept: PageTable):
    names = [column.name for column in swept.first]
    assert names == ["bits_per_byte", "accuracy_at_1", "train_seconds", "decode_ms_1", "peak_mib"]
    assert 2 + len(names) == MOST_COLUMNS and len(swept.more) > 8
    one_size = table([record for record in sweep_records() if record.vocabulary_size == 1000])
    assert [column.name for column in one_size.first] == [*names, "calibrated_accuracy_at_1"]


def test_filters_are_the_facts_that_differ(swept: PageTable):
    assert [each["name"] for each in swept.filters] == ["size", "system"]
    assert swept.filters[0]["values"] == ["1,000", "5,000", "20,000"]
    records = [
        partial_record(corpus=corpus, bits_per_byte=2.0, config={"budget": {"words": words}, "inputs": inputs})
        for corpus, words, inputs in (("kjv", 300, "learned"), ("kjv", 1000, "contextual"), ("books", 300, "learned"))
    ]
    filters = {each["name"]: each["values"] for each in table(records).filters}
    assert filters == {
        "corpus": ["kjv", "books"],
        "data": ["equal data: 300 words", "equal data: 1,000 words"],
        "trunk": ["learned inputs", "contextual inputs"],
    }


def test_figure_that_was_not_measured_sorts_last():
    first, second = table(
        [partial_record(bits_per_byte=2.0, accuracy_at_1=0.2), partial_record(system="mse", bits_per_byte=2.1)]
    ).rows
    assert (first.order["accuracy_at_1"], second.order["accuracy_at_1"]) == (pytest.approx(20.0), -LAST)
    assert second.order["train_seconds"] == LAST


def test_costs_are_those_of_one_machine_and_commit():
    records = [
        partial_record(
            system=system, bits_per_byte=2.0, train_seconds=seconds, peak_mib=seconds, git_commit=commit * 40
        )
        for system, seconds, commit in (("softmax", 3.0, "a"), ("nce", 2.0, "a"), ("mse", 1.0, "b"))
    ]
    times = {row.label: row.values["train_seconds"] for row in table(records).rows}
    assert {label: value.text for label, value in times.items()} == {"softmax": "3.00", "nce": "2.00", "mse": "–"}
    assert [label for label, value in times.items() if value.leads] == ["nce"]
    assert {row.values["peak_mib"].text for row in table(records).rows} == {"1.00", "2.00", "3.00"}
