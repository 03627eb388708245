"""Estimated time left of a sweep: from the same system, else from all cells; skipped cells take no time."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core import progress
from bench.core.progress import GROWTH_WORDS, REST_WORDS, Bar, PlannedCell, Tally, estimate, report_cell_end


def cell(system: str, size: int = 0, *, pending: bool = True) -> PlannedCell:
    return PlannedCell(system, size, pending)


def tally(*cells: PlannedCell) -> Tally:
    return Tally(cells=list(cells))


def test_estimate_is_the_latest_time_of_the_same_system():
    seconds = [(cell("a"), 50.0), (cell("a"), 10.0), (cell("b"), 90.0)]
    assert estimate(cell("a"), seconds) == 10.0


def test_estimate_is_the_mean_of_all_cells_when_the_system_has_not_run():
    assert estimate(cell("c"), [(cell("a"), 10.0), (cell("b"), 90.0)]) == 50.0


def test_estimate_grows_linearly_with_vocabulary_size():
    seconds = [(cell("a", GROWTH_WORDS), 30.0)]
    assert estimate(cell("a", 3 * GROWTH_WORDS), seconds) == pytest.approx(60.0)
    assert estimate(cell("a"), seconds) == pytest.approx(15.0)


def test_estimate_grows_linearly_with_the_number_of_training_words():
    seconds = [(cell("a")._replace(words=REST_WORDS), 20.0)]
    assert estimate(cell("a")._replace(words=9 * REST_WORDS), seconds) == pytest.approx(100.0)


def test_estimate_is_that_of_no_training_when_the_cell_finds_kept_weights():
    seconds = [(cell("a")._replace(words=3 * REST_WORDS), 80.0)]
    loaded = cell("a")._replace(words=0)
    assert estimate(loaded, seconds) == 20.0
    assert estimate(loaded, [*seconds, (loaded, 7.0), (cell("a"), 60.0)]) == 7.0


def test_time_left_is_unknown_before_anything_has_been_measured():
    assert tally(cell("a"), cell("b")).left() == "?"


def test_time_left_of_a_single_run_follows_from_the_share_that_is_done():
    assert Tally().left(elapsed=10.0, share=0.25) == "about 0:30"


def test_time_left_in_the_first_cell_follows_from_the_share_that_is_done():
    assert tally(cell("a"), cell("b"), cell("c")).left(elapsed=10.0, share=0.25) == "about 1:50"


def test_time_left_counts_the_rest_of_the_running_cell_and_later_cells():
    sweep = tally(cell("a"), cell("b"), cell("a"))
    sweep.cell_ended(20.0)
    assert sweep.left(elapsed=5.0, share=0.5) == "about 0:35"
    assert sweep.left(elapsed=60.0) == "about 0:20"  # a cell that takes longer than estimated has no time left


def test_skipped_cells_take_no_time_before_and_after_they_are_reached():
    sweep = tally(cell("a", pending=False), cell("a"), cell("a", pending=False), cell("b", pending=False), cell("b"))
    sweep.cell_ended(None)
    assert sweep.left() == "?"
    sweep.cell_ended(30.0)
    assert sweep.left() == "about 0:30"
    sweep.cell_ended(None)
    sweep.cell_ended(None)
    assert sweep.left() == "about 0:30"


def shared(tmp_path: Path, *cells: PlannedCell, processes: int | None = 2) -> Tally:
    """A sweep of two processes that began 30 s ago; the first pending cell has ended."""
    cells = [each._replace(result=tmp_path / f"{n}.json") for n, each in enumerate(cells)]
    next(each for each in cells if each.pending).result.touch()
    return replace(tally(*cells), alone=False, began=time.time() - 30, processes=processes)


def test_time_left_of_a_shared_sweep_follows_from_the_results_since_its_start(tmp_path):
    """Of three pending cells of one size, one has ended and another process is halfway through the next."""
    sweep = shared(tmp_path, cell("a", pending=False), cell("a"), cell("b"), cell("c"))
    assert sweep.left() in ("about 0:30", "about 0:31")
    assert replace(sweep, processes=1).left() in ("about 1:00", "about 1:01")


def test_time_left_of_a_shared_sweep_is_unknown_on_a_cluster_and_before_a_cell_has_ended(tmp_path):
    assert shared(tmp_path, cell("a"), cell("b"), processes=None).left() == "?"
    assert replace(shared(tmp_path, cell("a"), cell("b")), began=time.time() + 9).left() == "?"


def test_line_at_the_end_of_a_cell_says_about_how_much_time_is_left(monkeypatch, capsys):
    monkeypatch.setattr(progress, "TALLY", tally(cell("a"), cell("b")))
    printed = []
    monkeypatch.setattr(progress, "print_line", printed.append)
    report_cell_end("a-v9", "2.000 bits per byte", 61.0)
    report_cell_end("b-v9", "2.000 bits per byte", 5.0)
    assert printed == [
        "[1/2] a-v9: 2.000 bits per byte, 61 s; about 1:01 left",
        "[2/2] b-v9: 2.000 bits per byte, 5 s",
    ]


def test_bar_passes_the_share_that_is_done_to_the_estimate(monkeypatch):
    monkeypatch.setattr(progress, "TALLY", tally(cell("a"), cell("b")))
    with Bar("a-v9") as bar:
        bar.begin -= 30
        bar.show(0.5, "")
        assert bar.progress.tasks[0].fields["left"] == "about 1:30"


def test_cell_that_failed_beside_an_older_result_has_ended(tmp_path):
    cell = PlannedCell("softmax", 1000, pending=True, result=tmp_path / "softmax-v1000-s0-1234abcd.json")
    cell.result.touch()
    os.utime(cell.result, (100, 100))
    assert cell.has_ended(100) and not cell.has_ended(101)
    trace = tmp_path / "logs" / "softmax-v1000-s0-1234abcd.txt"
    trace.parent.mkdir()
    trace.touch()
    os.utime(trace, (200, 200))
    assert cell.has_ended(200) and not cell.has_ended(201)
