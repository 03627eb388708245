"""Accuracy of systems that were ranked on different samples of one test text."""

import numpy as np
import pytest
from factories.records import partial_record
from factories.reports import written_report

from bench.core.record import Record
from bench.evaluation.intervals import same_words
from bench.report import run_table
from bench.report.best import best
from bench.report.recommend import OTHER_WORDS, from_records
from bench.report.shared_words import on_shared_words, ordering


def ranked_record(
    system: str, seed: int, ranked: float, hits: float, searched_hits: float, words: float = 100
) -> Record:
    """Return a record of 18 documents; hits are per document of `words` words, ten of which every system searched."""
    wave = np.tile([-0.5, 0.5], 9)
    sums = {
        "words": np.full(18, words), "bytes": np.full(18, 5 * words), "nats": np.full(18, 7 * words),
        "ranked": np.full(18, ranked), "hits_at_1": hits + wave + 0.1 * seed,
        "searched": np.full(18, 10.0), "searched_hits_at_1": searched_hits + wave + 0.1 * seed,
    }  # fmt: skip
    blocks = {name: each.tolist() for name, each in sums.items()}
    accuracy = sum(blocks["hits_at_1"]) / (18 * ranked)
    return partial_record(system=system, seed=seed, bits_per_byte=2.0, accuracy_at_1=accuracy, blocks=blocks)


@pytest.fixture
def records() -> list[Record]:
    """Return softmax, right at 17 % of all words and 20 % of the sample, and GPT-2, right at 18 % of the sample."""
    both = (("softmax", 100, 17, 2.0), ("gpt2-scratch", 10, 1.8, 1.8))
    return [ranked_record(system, seed, *numbers) for system, *numbers in both for seed in range(3)]


def test_best_accuracy_is_that_on_the_words_that_all_systems_ranked(records):
    cells = run_table.cells(run_table.runs(records))
    assert cells.sort_values("accuracy_at_1").iloc[-1].system == "gpt2-scratch"
    found = best(cells, "accuracy_at_1")
    assert (found.cell.system, found.next.system, found.on_sample) == ("softmax", "gpt2-scratch", True)
    assert found.cell.accuracy_at_1 == pytest.approx(0.21)
    assert found.cell.accuracy_at_1_se == pytest.approx(0.01 / 3**0.5)
    assert found.next.accuracy_at_1 == pytest.approx(0.19)
    [answer] = [each for each in from_records(run_table.runs(records)) if each.choice["need"] == "accuracy"]
    assert answer.reasons[0] == "softmax is right most often with its first answer: 21.0 ± 0.6 %."
    assert answer.reasons[-1] == "Both figures are of the test words on which both systems were ranked."


def test_system_of_a_sample_does_not_change_the_order_of_the_others(records):
    others = [ranked_record("mse", seed, 100, 16, 2.5) for seed in range(3)]  # best on the sample, worse on all words
    cells = run_table.cells(run_table.runs([*records, *others]))
    figures = dict(zip(cells.system, ordering(cells, "accuracy_at_1"), strict=True))
    assert figures == pytest.approx({"softmax": 0.171, "mse": 0.161, "gpt2-scratch": 0.171 + 0.19 - 0.21})
    found = best(cells, "accuracy_at_1")
    assert (found.cell.system, found.next.system, found.on_sample) == ("softmax", "mse", False)
    assert found.cell.accuracy_at_1 == pytest.approx(0.171)


def test_bold_accuracy_is_that_of_the_system_that_leads_on_shared_words(records, tmp_path):
    markdown, _ = written_report(records, tmp_path)
    assert "| softmax |" in markdown and "**17.1" in markdown and "**19.0" not in markdown


def test_cells_are_unchanged_where_all_were_ranked_on_the_same_words(records):
    cells = run_table.cells(run_table.runs(records[:3]))
    assert on_shared_words(cells, "accuracy_at_1") is cells
    mixed = run_table.cells(run_table.runs(records))
    assert on_shared_words(mixed, "bits_per_byte") is mixed


def test_reader_is_told_where_two_systems_were_measured_on_different_test_words():
    records = [ranked_record("softmax", seed, 100, 17, 2.0) for seed in range(3)]
    records += [ranked_record("mse", seed, 50, 8, 1.5, words=50) for seed in range(3)]
    cells = run_table.cells(run_table.runs(records))
    assert not same_words(list(cells.blocks))
    assert on_shared_words(cells, "accuracy_at_1") is cells
    [answer] = [each for each in from_records(run_table.runs(records)) if each.choice["need"] == "accuracy"]
    assert answer.reasons[1].endswith(OTHER_WORDS)
