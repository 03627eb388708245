"""A figure that a query names is computed from the records, or refused in one line."""

import dataclasses
from pathlib import Path

import pytest
from factories.figure_texts import MEAN, cells, config, filled, printed, problem, seeds_of, write_records
from factories.ledgers import head_ledger, ledger_row
from factories.records import DIFFICULTY, blocked_record, partial_record, write_all

from bench.report import significance
from bench.report.glossary import every_column
from bench.report.paired_test import holm
from bench.report.published import fill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a text, with records in `runs` and cost ledgers in `costs`."""
    write_records(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("query", "old", "expected"),
    [
        ("bits_per_byte of system=softmax", "?", f"{MEAN:.3f}"),
        ("bits_per_byte of system=softmax", "9.99", f"{MEAN:.2f}"),
        ("bits_per_byte of system=softmax vocabulary.size=1e3", "about 1", "about 2"),
        ("accuracy_at_1 of system=softmax", "0.0 %", "33.5 %"),
        ("parameters of system=softmax", "?", "1.50"),
        ("bits_per_byte of system=cosine targets.level=type minus system=softmax", "?", "0.4000"),
        ("bits_per_byte of system=softmax minus system=cosine targets.level=type", "+0.00", "−0.40"),
        ("bits_per_byte of system=cosine targets.level=type over system=softmax where seed=0", "0.00", "1.20"),
        ("100*diagnosis.lost_to_fit of system=cosine targets.level=token", "0.0", "12.5"),
        ("diagnosis.read_outs.probe.nats of system=cosine targets.level=token", "0.0", "5.5"),
        ("best bits_per_byte where vocabulary.size=1000", "?", "nce; softmax (0.00)"),
        ("best bits_per_byte where kind=regressor", "?", "cosine, types"),
    ],
)
def test_figure_is_computed_and_keeps_its_decimals_and_sign(folder, query, old, expected):
    assert printed(folder, query, old) == expected


def test_interval_is_that_of_the_tables(folder):
    column = next(each for each in every_column() if each.name == "bits_per_byte")
    low, high = significance.interval_ends(cells(folder)["softmax"], column)
    assert (
        printed(folder, "interval of bits_per_byte of system=softmax", "0.000 to 0.000") == f"{low:.3f} to {high:.3f}"
    )


def test_interval_of_a_difference_is_paired(folder):
    test = significance.difference(cells(folder)["cosine, types"], cells(folder)["softmax"], "bits_per_byte")
    query = "interval of bits_per_byte of system=cosine targets.level=type minus system=softmax"
    assert printed(folder, query, "0.0000 to 0.0000") == f"{test.low:.4f} to {test.high:.4f}"


def test_growth_over_training_words_is_that_of_the_law(tmp_path):
    records = [
        blocked_record(
            system,
            bits + step * slope,
            config={"system": {"kind": "classifier", "name": system}, "budget": {"words": 10**step, "seconds": None}},
            seed=seed,
        )
        for system, bits, slope in (("softmax", 2.0, -0.1), ("cosine", 2.4, -0.07))
        for step in (3, 4, 5)
        for seed in range(3)
    ]
    write_all(records, tmp_path / "runs")
    gap = "growth of bits_per_byte of system=cosine minus system=softmax"
    assert printed(tmp_path, gap, "+0.000") == "+0.030"
    assert printed(tmp_path, f"interval of {gap}", "0.000 to 0.000") == "0.030 to 0.030"
    low, high = printed(tmp_path, "interval of growth of bits_per_byte of system=softmax", "0.0000 to 0.0000").split(
        " to "
    )
    assert float(low) < float(printed(tmp_path, "growth of bits_per_byte of system=softmax", "0.0000")) < float(high)
    assert "has no law" in problem(tmp_path, "growth of accuracy_at_1 of system=cosine")
    line = problem(tmp_path, "growth of bits_per_byte of system=cosine budget.words=1000")
    assert line.endswith("was measured at 0 numbers of words; a law needs 3")


@pytest.mark.parametrize("documents", [18, 5])
def test_difference_is_that_on_the_words_that_both_systems_ranked(tmp_path, documents):
    def record(system: str, ranked: float, hits: list[float], searched_hits: float):
        each = [1.0] * documents
        blocks = {
            "words": [100.0] * documents, "bytes": [500.0] * documents, "nats": [700.0] * documents,
            "ranked": [ranked] * documents, "hits_at_1": hits,
            "searched": [10.0] * documents, "searched_hits_at_1": [searched_hits * one for one in each],
        }  # fmt: skip
        accuracy = sum(hits) / (ranked * documents)
        config = {"system": {"name": system}}
        return partial_record(system=system, accuracy_at_1=accuracy, blocks=blocks, config=config)

    # all 100 words of a document: 20 right; of the ten that the search ranked: 3, against 2 of the other system
    write_all([record("softmax", 100.0, [20.0] * documents, 3.0)], tmp_path / "runs")
    write_all([record("gpt2", 10.0, [2.0] * documents, 2.0)], tmp_path / "runs")
    assert printed(tmp_path, "accuracy_at_1 of system=gpt2 minus system=softmax", "+0.0") == "−10.0"


@pytest.mark.parametrize("documents", [18, 5])
def test_difference_on_different_test_texts_is_refused(tmp_path, documents):
    def record(system: str, words: float):
        blocks = {"words": [words] * documents, "bytes": [500.0] * documents, "nats": [700.0] * documents}
        return partial_record(system=system, bits_per_byte=2.0, blocks=blocks, config={"system": {"name": system}})

    write_all([record("softmax", 100.0), record("mse", 90.0)], tmp_path / "runs")
    line = problem(tmp_path, "bits_per_byte of system=mse minus system=softmax")
    assert line.endswith("were measured on different test words; select cells of one text")


def test_growth_of_trunks_that_differ_is_refused(tmp_path):
    def config(words: int) -> dict:
        trunk = {"hidden_size": 512 if words == 10**5 else 256}
        return {
            "system": {"name": "softmax"},
            "budget": {"words": words, "seconds": None},
            "backbone": {"trunk": trunk},
        }

    write_all([blocked_record("softmax", 2.0, config=config(10**step)) for step in (3, 4, 5)], tmp_path / "runs")
    line = problem(tmp_path, "growth of bits_per_byte of system=softmax")
    assert "selects settings that vary with the number of words" in line


def test_best_names_a_rival_of_one_seed_whose_interval_holds_zero(tmp_path):
    records = [*seeds_of("softmax", 2.0), *seeds_of("nce", 2.02, noise=0.05, seeds=1)]
    write_all([*records, *seeds_of("adaptive_softmax", 2.5, noise=0.05, seeds=1)], tmp_path / "runs")
    assert printed(tmp_path, "best bits_per_byte where vocabulary.size=1000") == "softmax; nce (+0.010)"


def test_best_of_a_figure_without_intervals_is_one_system(folder):
    assert printed(folder, "best parameters where vocabulary.size=1000") in ("softmax", "nce", "cosine, types")


def test_corpus_is_named_as_typed_where_its_name_stands_for_two_texts(tmp_path):
    def config(concentration: float) -> dict:
        return {"system": {"name": "softmax"}, "corpus": {"name": "synthetic", "concentration": concentration}}

    records = [blocked_record("softmax", bits, corpus="synthetic", config=config(bits)) for bits in (2.0, 4.0)]
    write_all(records, tmp_path / "runs")
    query = "bits_per_byte of corpus=synthetic corpus.concentration=4.0"
    assert printed(tmp_path, query, "0.0") == f"{4 + DIFFICULTY.mean():.1f}"


def test_p_values_of_a_text_are_corrected_for_their_number(folder):
    pairs = [("cosine targets.level=type", "cosine, types"), ("nce", "nce")]
    all_cells = cells(folder)
    tests = [significance.difference(all_cells[label], all_cells["softmax"], "bits_per_byte").p for _, label in pairs]
    assert tests[0] < 0.001 < tests[1]
    links = [f'[?](runs "p of bits_per_byte of system={system} minus system=softmax")' for system, _ in pairs]
    text = filled(folder, "\n".join([*links, links[0]]))  # a repeated comparison counts once
    assert text.count("[p < .001]") == 2
    assert f"[p = {holm(tests)[1]:.3f}]".replace("0.", ".") in text


def test_equal_comparisons_of_two_folders_are_two_comparisons(folder):
    write_all([*seeds_of("softmax", 2.0), *seeds_of("nce", 2.5, noise=0.05)], folder / "others")
    query = "p of bits_per_byte of system=nce minus system=softmax"
    close, far = filled(folder, "\n".join(f'[?]({name} "{query}")' for name in ("runs", "others"))).splitlines()
    assert close.startswith("[p = ") and far.startswith("[p < .001]")


def test_ledger_row_must_be_the_only_one(folder):
    assert printed(folder, "step_ms of contender=cosine vocabulary_size=1000", "?", "costs") == "2.00"
    line = problem(folder, "step_ms of contender=cosine", where="costs")
    assert line.endswith("contender=cosine: matches 2 rows of cost ledgers; name vocabulary_size too")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("bits_per_byte of system=cosine", "matches several variants, which are not averaged: targets.level is token"),
        ("bits_per_byte of system=softmx", "system=softmx: nothing in"),
        ("bits_per_byte of systm=softmax", "did you mean system?"),
        ("bits_per_bite of system=softmax", "is not a figure of a record"),
        ("brier of system=softmax", "was not measured for softmax"),
        ("diagnosis.read_outs of system=cosine targets.level=token", "holds several numbers"),
        ("diagnosis.lost of system=cosine targets.level=token", "the record has no entry lost at this place"),
        ("p of bits_per_byte of system=softmax", "has no p for one system"),
        ("interval of bits_per_byte of system=nce over system=softmax", "no interval: "),
        ("bits_per_byte of system=nce minus system=nce", "both sides are nce at V = 1,000"),
        ("bits_per_byte of system=cosine targets.level=token", "rests on one seed; say “one seed”"),
        ("best parameters where corpus=d", "corpus=d: nothing in"),
        ("best calibration_scale where corpus=c", "is not a column for which lower or higher is better"),
    ],
)
def test_figure_without_an_answer_is_one_line_with_its_place(folder, query, reason):
    line = problem(folder, query)
    assert line.startswith(f"{folder / 'text.md'}:1: {query}") and reason in line


def test_system_is_named_as_in_tables_or_as_typed(folder):
    settings = config("classifier") | {"system": {"name": "gpt2", "kind": "classifier"}}
    write_all([blocked_record("gpt2-scratch", 2.0, config=settings)], folder / "runs")
    assert printed(folder, "bits_per_byte of system=gpt2") == printed(folder, "bits_per_byte of system=gpt2-scratch")


def test_device_of_other_threads_is_no_setting_that_differs(folder):
    for level, threads in (("type", 1), ("token", 2)):
        record = blocked_record("vmf", 2.0, config=config("regressor", level), device=f"cpu, {threads} threads")
        write_all([record], folder / "runs")
    line = problem(folder, "bits_per_byte of system=vmf")
    assert line.endswith("which are not averaged: targets.level is token and type; name one")


def test_times_of_two_origins_are_not_averaged(folder):
    for seed, at_once in enumerate((1, 2, 2)):
        timed = {"train_seconds": 10.0 * at_once, "device": f"cpu, {3 - at_once} threads", "cells_at_once": at_once}
        write_all([blocked_record("gpt2", 2.0, seed=seed, config=config("classifier"), **timed)], folder / "runs")
    assert printed(folder, "bits_per_byte of system=gpt2", "0.00") == f"{2.00625:.2f}"
    assert printed(folder, "train_seconds of system=gpt2 cells_at_once=1", "0.0") == "10.0"
    assert "name device=, git_commit= or cells_at_once=" in problem(folder, "train_seconds of system=gpt2")


def test_missing_records_are_one_line(folder):
    assert "holds no records" in problem(folder, "bits_per_byte of system=softmax", where="elsewhere/leaderboard.md")


def test_best_of_systems_that_cannot_be_compared_is_refused(folder):
    large = {"vocabulary_size": 5000, "config": config("classifier", size=5000)}
    write_all([blocked_record("nce", 2.0, **large)], folder / "runs")
    alone = blocked_record("softmax", 2.1, **large)
    fewer = {name: values[:3] for name, values in alone.blocks.items()}
    write_all([dataclasses.replace(alone, blocks=fewer)], folder / "runs")
    said = problem(folder, "best bits_per_byte where vocabulary.size=5000")
    assert "softmax cannot be compared with nce: other test words, or too few documents" in said


def test_times_of_two_machines_are_neither_subtracted_nor_ranked(folder):
    for system, device in (("softmax", "H200"), ("nce", "EPYC")):
        timed = {"train_seconds": 10.0, "device": device, "vocabulary_size": 5000}
        settings = config("classifier", size=5000)
        write_all([blocked_record(system, 2.0, config=settings, **timed)], folder / "runs")
    for query in (
        "train_seconds of system=softmax over system=nce where vocabulary.size=5000",
        "best train_seconds where vocabulary.size=5000",
    ):
        assert "times of EPYC and H200 do not compare" in problem(folder, query)


def test_costs_of_two_ledgers_on_other_machines_are_not_compared(folder):
    head_ledger(1000, [ledger_row("mse", 1000)], device="H200").write(folder / "costs" / "v1000-4567abcd")
    said = problem(folder, "step_ms of contender=mse over contender=softmax where vocabulary_size=1000", where="costs")
    assert "differ in device; select rows that were measured together" in said


def test_figure_that_one_of_three_seeds_has_rests_on_one_seed(folder):
    first, *others = seeds_of("vmf", 2.0)
    write_all([dataclasses.replace(first, encode_seconds=7.0), *others], folder / "runs")
    assert printed(folder, "encode_seconds of system=vmf") == "7.00"  # of a text that says one seed
    path = folder / "text.md"
    path.write_text('[?](runs "encode_seconds of system=vmf")')
    assert "rests on one seed" in fill(path)[1][0]
