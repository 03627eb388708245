"""Answer of a page in sentences, computed from its leaderboards."""

import dataclasses

import pandas as pd
from factories.records import blocked_record, partial_record

from bench.core.record import Record
from bench.report import run_table
from bench.report.best import main_board
from bench.report.headline import headline
from bench.report.leaderboard import leaderboards
from bench.report.origins import with_times_of_one_origin


def sentences(records: list[Record], baseline: str = "softmax") -> list[str]:
    """Return the sentences about these records."""
    runs = run_table.runs(records)
    cells = run_table.cells(runs)
    timed = run_table.cells(with_times_of_one_origin(runs)[0])
    return headline([*leaderboards(runs, cells, baseline)], timed)


def seeds_of(system: str, bits: float, noise: float = 0.0, **fields: object) -> list[Record]:
    """Return three records of one cell whose seeds differ by a thousandth of a bit per byte."""
    return [blocked_record(system, bits + 0.001 * seed, noise, seed=seed, **fields) for seed in range(3)]


def test_three_sentences_name_the_best_the_best_regressor_and_the_times():
    records = [
        partial_record(system="softmax", bits_per_byte=2.0, accuracy_at_1=0.2, train_seconds=40.0),
        partial_record(system="mse", bits_per_byte=2.35, accuracy_at_1=0.1, train_seconds=9.0),
        partial_record(
            system="cosine", bits_per_byte=2.25, accuracy_at_1=0.15, train_seconds=10.0, encode_seconds=60.0
        ),
        partial_record(system="ngram", bits_per_byte=1.9),
    ]
    assert sentences(records) == [
        "At V = 1,000 on c, softmax needs the fewest bits per byte: 2.00, fewer (not tested) than the next best, "
        "cosine (2.25).",
        "The best head over fixed word vectors, cosine, needs 0.250 bits per byte more than softmax (not tested); its "
        "first answer is right for 15.0 % of the words against 20.0 % (not tested).",
        "Training cosine took 10 s after 60 s of encoding its text; training softmax took 40 s.",
    ]


def test_times_say_that_several_cells_shared_the_machine():
    records = [
        partial_record(system="softmax", bits_per_byte=2.0, train_seconds=40.0, cells_at_once=2),
        partial_record(system="cosine", bits_per_byte=2.25, train_seconds=10.0, cells_at_once=2),
    ]
    assert sentences(records)[-1] == (
        "Training cosine took 10 s; training softmax took 40 s, while 2 cells shared the machine."
    )


def test_times_of_cells_that_ran_alone_are_not_called_shared_for_other_seeds_that_were():
    records = [
        partial_record(
            system=system, bits_per_byte=bits, train_seconds=10.0, seed=seed, device="cpu", cells_at_once=1 + (seed > 0)
        )
        for system, bits in (("softmax", 2.0), ("cosine", 2.25))
        for seed in range(3)
    ]
    assert sentences(records)[-1] == "Training cosine took 10 s; training softmax took 10 s."


def test_sentences_say_which_differences_are_significant():
    records = [*seeds_of("softmax", 2.0), *seeds_of("mse", 2.1, 0.02), *seeds_of("nce", 2.001, 0.02)]
    first, second = sentences(records)
    assert first.endswith(
        "softmax needs the fewest bits per byte: 2.01, not significantly fewer than the next best, nce (2.01)."
    )
    assert "mse, needs 0.100 bits per byte more than softmax (significant)" in second
    first, _ = sentences(records[:6])
    assert first.endswith(", significantly fewer than the next best, mse (2.11).")


def test_best_regressor_is_compared_with_the_named_baseline():
    records = [*seeds_of("softmax", 2.0), *seeds_of("nce", 2.1, 0.02), *seeds_of("mse", 2.101, 0.03)]
    assert "needs 0.001 bits per byte more than nce (not significant)" in sentences(records, "nce")[1]


def test_best_regressor_is_compared_with_the_best_system_where_no_record_is_of_the_baseline():
    records = [*seeds_of("nce", 2.0), *seeds_of("mse", 2.1, 0.02)]
    assert "mse, needs 0.100 bits per byte more than nce (significant)" in sentences(records)[1]


def test_sentences_are_about_the_size_of_most_systems_and_name_where_else_the_best_leads():
    records = [
        partial_record(system=system, bits_per_byte=bits, vocabulary_size=size)
        for size in (1000, 5000, 20000)
        for system, bits in (("softmax", 2.0), ("mse", 1.9 if size == 1000 else 2.2))
    ]
    said = sentences(records)[0]
    assert said.startswith("At V = 20,000 on c, softmax needs the fewest bits per byte: 2.00")
    assert said.endswith(" It has the fewest at V = 5,000 too.")
    more = partial_record(system="cosine", bits_per_byte=1.8, vocabulary_size=5000)
    assert sentences([*records, more])[0].startswith("At V = 5,000 on c, cosine needs the fewest bits per byte: 1.80")


def test_times_of_different_commits_are_not_compared():
    records = [
        partial_record(bits_per_byte=2.0, train_seconds=4.0, git_commit="a" * 40),
        partial_record(system="mse", bits_per_byte=2.3, train_seconds=1.0, git_commit="b" * 40),
    ]
    assert len(sentences(records)) == 2


def test_nothing_is_said_about_floors_alone():
    assert sentences([partial_record(system="unigram", bits_per_byte=3.0)]) == []
    assert headline([], pd.DataFrame()) == []


def test_page_opens_with_most_words_among_tables_of_as_many_seeds():
    budgets = {300_000: 3, 1_000_000: 3, 10_000_000: 1}
    records = [
        blocked_record(
            system,
            2.0,
            seed=seed,
            config={"system": {"kind": "classifier"}, "budget": {"words": words, "seconds": None}},
        )
        for system in ("softmax", "nce")
        for words, seeds in budgets.items()
        for seed in range(seeds)
    ]
    runs = run_table.runs(records)
    boards = [*leaderboards(runs, run_table.cells(runs))]
    assert [board.budget for board in boards] == [f"equal data: {words:,} words" for words in budgets]
    assert main_board(boards).budget == "equal data: 1,000,000 words"


def test_first_sentence_names_the_budget_if_there_are_several():
    def of(words: int) -> list[Record]:
        config = {"system": {"kind": "classifier"}, "budget": {"words": words, "seconds": None}}
        return [partial_record(system=each, bits_per_byte=2.0, config=config) for each in ("softmax", "nce")]

    assert sentences([*of(1000), *of(2000)])[0].startswith("At V = 1,000 on c (equal data: 2,000 words), ")
    assert sentences(of(1000))[0].startswith("At V = 1,000 on c, ")


def test_systems_of_other_test_words_are_not_compared():
    other = blocked_record("cosine", 1.8, config={"system": {"kind": "regressor"}})
    other = dataclasses.replace(other, blocks=other.blocks | {"words": [50.0] * 16})
    first, second = sentences([*seeds_of("softmax", 2.0), other])
    assert first.endswith("; the next best, softmax, was measured on other test words.")
    assert second.endswith("cosine, cannot be compared with softmax, which was measured on other test words.")


def test_next_best_of_another_trunk_is_said_to_be_one():
    def record(system: str, units: int, bits: float) -> Record:
        config = {"system": {"kind": "classifier"}, "backbone": {"trunk": {"hidden_size": units}}}
        return partial_record(system=system, bits_per_byte=bits, config=config)

    said = sentences([record("nce", 512, 1.9), record("softmax", 256, 2.0)])[0]
    assert said.endswith("than the next best, softmax (2.00, on another trunk).")
    assert "trunk" not in sentences([record("nce", 256, 1.9), record("softmax", 256, 2.0)])[0]


def test_encoding_that_both_systems_need_is_said_of_both():
    times = {"train_seconds": 10.0, "encode_seconds": 60.0}
    records = [partial_record(system=each, bits_per_byte=2.0, **times) for each in ("softmax", "mse")]
    after = "took 10 s after 60 s of encoding its text"
    assert sentences(records)[-1] == f"Training mse {after}; training softmax {after}."
