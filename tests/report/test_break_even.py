"""Epochs and runs after which an encoding has paid for itself."""

import dataclasses

from factories.ledgers import titled

from bench.core.record import Record
from bench.report import break_even, run_table
from bench.report.ledgers import Section


def test_encoding_is_paid_back_in_epochs(section: Section):
    sheet = titled(section, "After how many epochs the encoding has paid for itself")
    against = {row.label: row.values for row in sheet.rows}
    contexts = ("causal", "prefix")
    assert set(against) == {f"cosine against {rival}, {c}" for rival in break_even.RIVALS for c in contexts}
    softmax = against["cosine against softmax, causal"]
    assert softmax["10000"].text == "11"  # 0.1 ms a word against (12 − 3) / 1000
    assert softmax["1000000"].text == "–"
    assert against["cosine against sampled_softmax, causal"]["10000"].text == "never"
    assert against["cosine against softmax, prefix"]["10000"].text == "220"  # 2 ms a word


def test_encoding_is_paid_back_in_runs():
    common = {"experiment": "e", "head": None, "backbone": "lstm", "corpus": "c", "vocabulary_size": 1000}
    records = [
        Record(system="softmax", seed=seed, train_seconds=30.0 + seed, trained_words=1000, **common) for seed in (0, 2)
    ]
    records += [
        Record(system="mse", seed=seed, train_seconds=22.0, trained_words=2000, encode_seconds=80.0, **common)
        for seed in (0, 2)
    ]
    sheet = break_even.table_in_runs(run_table.cells(run_table.runs(records)))
    assert sheet.title == "After how many runs the encoding has paid for itself, c"
    assert {row.label: str(row.values["1000"]) for row in sheet.rows} == {
        "mse against softmax": "2.0 [1.8, 2.2]"  # 80 s against 62 − 22, give or take 4
    }
    of_one_seed = break_even.table_in_runs(run_table.cells(run_table.runs(records[:3])))
    assert [str(row.values["1000"]) for row in of_one_seed.rows] == ["2.0"]
    assert break_even.table_in_runs(run_table.cells(run_table.runs(records[:2]))) is None


def test_encoding_that_the_rival_needs_too_is_not_charged():
    def record(system: str, seed: int, **fields: float) -> Record:
        common = {"experiment": "e", "backbone": "lstm", "corpus": "c", "vocabulary_size": 1000, "trained_words": 1000}
        return Record(system=system, head=system, seed=seed, **common, **fields)

    alike = [
        record("sampled_softmax", 0, train_seconds=30.0, encode_seconds=80.0),
        record("mse", 0, train_seconds=22.0, encode_seconds=80.0),
    ]
    assert break_even.table_in_runs(run_table.cells(run_table.runs(alike))) is None
    more = [alike[0], record("mse", 0, train_seconds=22.0, encode_seconds=96.0)]
    [row] = break_even.table_in_runs(run_table.cells(run_table.runs(more))).rows
    assert (row.label, str(row.values["1000"])) == ("mse against sampled_softmax", "2.0")  # 16 s more against 30 − 22


def test_run_is_compared_with_the_rival_of_its_own_trunk():
    def record(system: str, backbone: str, bits: float, seconds: float, **fields: float) -> Record:
        common = {"experiment": "e", "head": system, "corpus": "c", "vocabulary_size": 1000, "seed": 0}
        config = {"system": {"kind": "classifier"}, "backbone": {"name": backbone}}
        figures = {"bits_per_byte": bits, "train_seconds": seconds, "trained_words": 1000}
        return Record(system=system, backbone=backbone, config=config, **common, **figures, **fields)

    records = [
        record("softmax", "lstm", 2.0, 30.0),
        record("softmax", "gru", 2.1, 22.0),
        record("mse", "gru", 2.3, 12.0, encode_seconds=80.0),
    ]
    sheet = break_even.table_in_runs(run_table.cells(run_table.runs(records)))
    assert [str(row.values["1000"]) for row in sheet.rows] == ["8.0"]  # 80 s against 22 − 12


def test_run_without_a_training_time_is_no_run_that_saves_nothing():
    common = {"experiment": "e", "head": None, "backbone": "lstm", "corpus": "c", "vocabulary_size": 1000, "seed": 0}
    softmax = Record(system="softmax", train_seconds=30.0, trained_words=1000, **common)
    cosine = Record(system="cosine", train_seconds=20.0, trained_words=1000, encode_seconds=80.0, **common)
    [row] = break_even.table_in_runs(run_table.cells(run_table.runs([softmax, cosine]))).rows
    assert str(row.values["1000"]) == "8.0"
    for untimed in (
        [dataclasses.replace(softmax, train_seconds=None), cosine],
        [softmax, dataclasses.replace(cosine, train_seconds=None)],
    ):
        assert break_even.table_in_runs(run_table.cells(run_table.runs(untimed))) is None
