"""Answers to "Which head should I use?" from records and from cost ledgers."""

import dataclasses

import pytest
from factories.ledgers import head_ledger, ledger_row, span, sweep_ledgers
from factories.records import blocked_record, partial_record

from bench.core.record import Record
from bench.report import run_table
from bench.report.origins import origins
from bench.report.recommend import Answer, control, first_choice, from_records
from bench.report.recommend_costs import from_ledgers


def answered(records: list[Record]) -> dict[str, Answer]:
    """Return the answers about records of one V by their need."""
    return {each.choice["need"]: each for each in from_records(run_table.runs(records))}


def pair(first: dict[str, float], second: dict[str, float], seeds: int = 1) -> list[Record]:
    """Return records of softmax and mse; a figure of a further seed is larger by a tenth of itself."""
    return [
        partial_record(system=system, seed=seed, **{name: value * (1 + seed / 10) for name, value in figures.items()})
        for system, figures in (("softmax", first), ("mse", second))
        for seed in range(seeds)
    ]


def test_each_need_has_the_answer_of_its_own_figure():
    fast = {"bits_per_byte": 2.3, "accuracy_at_1": 0.1, "train_seconds": 5.0, "decode_ms_1": 3.0, "peak_mib": 50.0}
    good = {"bits_per_byte": 2.0, "accuracy_at_1": 0.2, "train_seconds": 9.0, "decode_ms_1": 2.0, "peak_mib": 90.0}
    found = answered(pair(good, fast))
    assert {need: each.heads for need, each in found.items()} == {
        "bits per byte": "softmax", "accuracy": "softmax", "training time": "mse", "decode latency": "softmax",
        "memory": "mse",
    }  # fmt: skip
    assert found["training time"].reasons == [
        "mse trains fastest: 5.00 s.",
        "Next best is softmax: 9.00 s. With one seed it is not known how far this varies.",
    ]
    assert found["memory"].headings == ["mse", "softmax"]
    assert ("accuracy", "10.0 %", "20.0 %") in found["memory"].rows


def test_need_without_a_figure_has_no_answer():
    assert answered(pair({"bits_per_byte": 2.0}, {"bits_per_byte": 2.1})).keys() == {"bits per byte"}


@pytest.mark.parametrize(("slower", "heads"), [(6.1, "softmax"), (5.4, "softmax or mse")])
def test_costs_are_told_apart_where_the_seeds_do_not_overlap(slower: float, heads: str):
    found = answered(
        pair({"train_seconds": 5.0, "bits_per_byte": 2.0}, {"train_seconds": slower, "bits_per_byte": 2.0}, 3)
    )
    assert found["training time"].heads == heads


def test_both_heads_are_named_where_the_difference_is_not_significant():
    records = [
        blocked_record(system, bits + 0.001 * seed, 0.02 * (system == "mse"), seed=seed)
        for system, bits in (("softmax", 2.0), ("mse", 2.0005))
        for seed in range(3)
    ]
    found = answered(records)["bits per byte"]
    assert found.heads == "softmax or mse" and found.reasons[1].endswith(
        "not significant: the test cannot separate the two."
    )


def test_encoding_and_better_floors_are_said():
    records = pair({"bits_per_byte": 2.0, "train_seconds": 9.0}, {"bits_per_byte": 2.3, "train_seconds": 5.0})
    records[1] = dataclasses.replace(records[1], encode_seconds=60.0)
    found = answered([*records, partial_record(system="ngram", bits_per_byte=1.9, accuracy_at_1=0.3)])
    assert "Encoding its text took 60.0 s more, once, before training." in found["training time"].reasons
    assert found["bits per byte"].reasons[-1] == "The floor ngram is better than every trained system: 1.900."


def test_times_are_those_of_one_commit_and_every_answer_that_shows_them_says_so():
    records = [
        partial_record(system=system, bits_per_byte=2.0, train_seconds=seconds, git_commit=commit * 40)
        for system, seconds, commit in (("softmax", 3.0, "a"), ("nce", 2.0, "a"), ("mse", 1.0, "b"))
    ]
    found = answered(records)
    assert found["training time"].headings == ["nce", "softmax"]
    for need in ("training time", "bits per byte"):
        assert "training time" in [row[0] for row in found[need].rows]
        assert found[need].reasons[-1].startswith("Times are those of commit aaaaaaa alone")


def test_answer_without_times_names_no_machine():
    records = [
        partial_record(bits_per_byte=2.0, peak_mib=1.0, git_commit=commit * 40, seed=seed)
        for seed, commit in enumerate("ab")
    ]
    for found in answered(records).values():
        assert not [said for said in found.reasons if "Times" in said]


def test_texts_have_answers_of_their_own_and_devices_have_those_about_costs():
    records = [
        partial_record(bits_per_byte=2.0, train_seconds=1.0, corpus=corpus, device=device)
        for corpus, device in (("kjv", "cpu"), ("books", "cpu"), ("books", "gpu"))
    ]
    found = [*from_records(run_table.runs(records))]
    assert [(each.choice["corpus"], each.choice["device"], each.choice["need"]) for each in found] == [
        ("books", "", "bits per byte"), ("kjv", "", "bits per byte"),
        ("books", "cpu", "training time"), ("books", "gpu", "training time"), ("kjv", "cpu", "training time"),
    ]  # fmt: skip
    offered = {each["name"]: each["values"] for each in control(found)}
    assert offered == {
        "size": ["1,000"], "data": ["not recorded"], "corpus": ["kjv", "books"], "device": ["cpu", "gpu"],
        "need": ["bits per byte", "training time"],
    }  # fmt: skip


def test_quality_is_that_of_the_seeds_of_all_devices():
    records = [
        partial_record(bits_per_byte=bits, seed=seed, device=device)
        for seed, bits, device in ((0, 2.0, "cpu, 1 threads"), (1, 2.2, "cpu, 2 threads"))
    ]
    [found] = from_records(run_table.runs(records))
    assert found.reasons[0] == "softmax needs the fewest bits per byte: 2.1 ± 0.1."


def test_times_of_runs_that_had_the_machine_for_themselves_come_first():
    records = [
        partial_record(seed=seed, train_seconds=1.0, device="cpu", cells_at_once=cells)
        for seed, cells in ((0, 1), (1, 2), (2, 2))
    ]
    assert origins(run_table.runs(records)) == ["cpu", "cpu, shared by 2 cells"]


def test_times_of_trained_systems_come_before_those_of_floors():
    """A floor that was run again on its own would otherwise decide whose times a figure shows."""
    trained = partial_record(train_seconds=1.0, device="cpu", cells_at_once=2)
    floor = partial_record(system="ngram", decode_ms_1=1.0, device="cpu", cells_at_once=1)
    assert origins(run_table.runs([floor, trained])) == ["cpu, shared by 2 cells", "cpu"]


def test_ledgers_answer_at_sizes_without_records():
    found = [*from_ledgers(sweep_ledgers())]
    offered = {each["name"]: each["values"] for each in control(found)}
    assert offered["size"] == ["1,000", "10,000", "100,000", "1,000,000"]
    assert offered["need"] == ["training time", "decode latency", "memory"] and "corpus" not in offered
    last = {each.choice["need"]: each for each in found if each.choice["size"] == "1,000,000"}
    assert last["training time"].heads == "sampled_softmax or cosine"
    assert last["training time"].reasons[0] == (
        "sampled_softmax trains fastest (head alone, fp32, hidden size 256): 3.00 ms per step of 1,000 positions."
    )
    assert first_choice(found, None) == last["training time"].choice


def test_ledger_answer_is_clear_where_the_rounds_do_not_overlap():
    rows = [ledger_row("softmax", 1000, step_ms=span(9.0)), ledger_row("mse", 1000, step_ms=span(4.0))]
    (training, *_) = from_ledgers([head_ledger(1000, rows)])
    assert training.heads == "mse" and training.reasons[1].endswith("The rounds (p20 to p80) do not overlap.")


def test_times_of_each_size_are_those_of_the_commit_that_measured_it():
    def record(size: int, commit: str) -> Record:
        timed = {"bits_per_byte": 2.0, "train_seconds": 9.0, "git_commit": commit * 40}
        return partial_record(vocabulary_size=size, **timed)

    records = [record(size, commit) for size, commit in ((1000, "a"), (5000, "a"), (20000, "b"))]
    found = [each for each in from_records(run_table.runs(records)) if each.choice["need"] == "training time"]
    assert {each.choice["size"] for each in found} == {"1,000", "5,000", "20,000"}
