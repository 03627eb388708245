"""Tables of runs and cells: averages over seeds, variants, failures, fronts."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from factories.records import partial_record

from bench.core.record import write_record
from bench.report import run_table
from bench.report.record_facts import origin


def test_cell_has_mean_and_standard_error_over_seeds():
    records = [partial_record(seed=seed, bits_per_byte=bits) for seed, bits in enumerate((2.0, 2.2, 2.7))]
    (cell,) = run_table.cells(run_table.runs(records)).to_dict("records")
    assert cell["seeds"] == 3
    assert cell["bits_per_byte"] == pytest.approx(2.3, abs=1e-12)
    assert cell["bits_per_byte_se"] == pytest.approx((0.13 / 3) ** 0.5, abs=1e-12)  # variance (.09 + .01 + .16) / 2


def test_runs_on_other_numbers_of_threads_are_seeds_of_one_cell_with_two_origins():
    devices = ["Xeon, 2 threads", "Xeon, 1 threads", "Xeon, 1 threads"]
    records = [partial_record(seed=seed, device=device, bits_per_byte=2.0) for seed, device in enumerate(devices)]
    (cell,) = run_table.cells(run_table.runs(records)).to_dict("records")
    assert (cell["label"], cell["seeds"], cell["origins"]) == ("softmax", 3, ["Xeon, 1 threads", "Xeon, 2 threads"])


def test_accuracy_by_decile_is_averaged_tenth_by_tenth():
    records = [partial_record(seed=seed, accuracy_by_decile=[first, 0.2]) for seed, first in enumerate((0.1, 0.3))]
    (cell,) = run_table.cells(run_table.runs(records)).to_dict("records")
    assert cell["accuracy_by_decile"] == pytest.approx([0.2, 0.2])
    assert cell["accuracy_by_decile_se"] == pytest.approx([0.1, 0.0])


def test_runs_that_differ_in_a_setting_are_not_averaged():
    configs = [{"inputs": inputs, "seed": seed} for inputs in ("learned", "contextual") for seed in (0, 1)]
    records = [partial_record(seed=c["seed"], bits_per_byte=2.0, config=c) for c in configs]
    cells = run_table.cells(run_table.runs(records))
    assert list(cells.label) == ["softmax, contextual inputs", "softmax, learned inputs"]
    assert list(cells.seeds) == [2, 2]


def test_cell_averages_over_the_seed_of_the_run_alone():
    configs = [{"targets": {"seed": drawn}, "seed": seed} for drawn in (0, 1) for seed in (0, 1)]
    cells = run_table.cells(run_table.runs([partial_record(seed=c["seed"], config=c) for c in configs]))
    assert list(cells.label) == ["softmax, targets seed 0", "softmax, targets seed 1"]
    assert list(cells.seeds) == [2, 2]


def test_cell_that_failed_before_its_types_were_counted_is_kept():
    runs = run_table.runs([partial_record(vocabulary_size=None, status="failed", reason="no text"), partial_record()])
    cells = run_table.cells(runs)
    assert cells.vocabulary_size.tolist() == [0, 1000]
    assert cells.failures[0] == ["seed 0 failed: no text"]


def test_cell_averages_the_other_seeds_when_one_failed():
    records = [
        partial_record(bits_per_byte=2.0),
        partial_record(seed=1, status="oom", reason="no memory", bits_per_byte=9.0),
    ]
    (cell,) = run_table.cells(run_table.runs(records)).to_dict("records")
    assert (cell["bits_per_byte"], cell["seeds"], cell["failures"]) == (2.0, 1, ["seed 1 oom: no memory"])


def test_last_finished_record_counts_when_a_cell_is_stored_twice(tmp_path: Path):
    for folder, bits, day in (("a", 2.0, 2), ("b", 3.0, 1)):
        write_record(partial_record(bits_per_byte=bits, finished_at=f"2026-01-0{day}"), tmp_path / folder / "same")
    assert list(run_table.load([tmp_path / "b", tmp_path / "a"]).bits_per_byte) == [2.0]


def test_curve_averages_the_validations_that_every_seed_reached():
    curves = [
        [{"words": 10, "validation_nats": 6.0}, {"words": 20, "validation_nats": 5.0}],
        [{"words": 10, "validation_nats": 8.0}],
    ]
    mean = run_table.curve(
        run_table.runs([partial_record(seed=seed, curve=curve) for seed, curve in enumerate(curves)])
    )
    assert mean.validation_nats.tolist() == [7.0]
    assert mean.validation_nats_se.tolist() == [1.0]


def test_pareto_front_of_points_computed_by_hand():
    costs, losses = np.array([1, 2, 2, 3, 4, 1]), np.array([5, 3, 4, 3, 1, 5])
    assert run_table.pareto(costs, losses).tolist() == [True, True, False, False, True, True]


def languages(*concentrations: float, **fields: object) -> list:
    corpora = [{"name": "synthetic", "concentration": each, "train_words": 5} for each in concentrations]
    return [partial_record(corpus="synthetic", config={"corpus": each}, **fields) for each in corpora]


def test_languages_of_one_name_are_texts_of_their_own_with_an_excess_each():
    truths = languages(2.0, 4.0, system="truth")
    records = [dataclasses.replace(each, word_perplexity=p) for each, p in zip(truths, (64.0, 128.0), strict=True)]
    softmax = languages(2.0, 4.0)
    records += [dataclasses.replace(each, word_perplexity=p) for each, p in zip(softmax, (128.0, 256.0), strict=True)]
    runs = run_table.runs(records)
    assert list(runs.corpus) == ["synthetic (corpus.concentration=2.0)", "synthetic (corpus.concentration=4.0)"] * 2
    assert list(runs.excess) == pytest.approx([0, 0, 1, 1])
    assert len(run_table.cells(runs)) == 4


def test_excess_is_above_the_limit_on_the_same_test_words():
    def record(system: str, perplexity: float, words: float):
        config = {"evaluation": {"test_words": 6 * words}}
        return partial_record(system=system, word_perplexity=perplexity, blocks={"words": [words] * 6}, config=config)

    records = [record("truth", 64.0, 100.0), record("softmax", 128.0, 100.0), record("softmax", 256.0, 400.0)]
    assert list(run_table.runs(records).excess.fillna(-1)) == pytest.approx([0, 1, -1])
    runs = run_table.runs([*records, record("truth", 128.0, 400.0)])
    assert list(runs.excess) == pytest.approx([0, 1, 1, 0])


def user_text(path: str, sha256: str, **fields: object):
    corpus = {"name": "text", "path": path, "content_sha256": sha256, "source": {"path": path}}
    return partial_record(corpus="text", config={"corpus": corpus}, bits_per_byte=2.0, **fields)


def test_text_that_was_moved_is_one_text():
    runs = run_table.runs([user_text("a", "1" * 64, seed=0), user_text("b", "1" * 64, seed=1)])
    [cell] = run_table.cells(runs).to_dict("records")
    assert (cell["corpus"], cell["label"], cell["seeds"]) == ("text", "softmax", 2)


def test_texts_of_two_contents_have_the_names_of_their_folders():
    runs = run_table.runs([user_text("a", "1" * 64), user_text("b", "2" * 64), user_text("moved", "2" * 64, seed=1)])
    names = [f"text (corpus.path={path}, sha256={digit * 8})" for path, digit in (("a", "1"), ("b", "2"), ("b", "2"))]
    assert list(runs.corpus) == names


@pytest.mark.parametrize(("text", "more"), [(300, " from a text of 300"), (1000, ""), (5000, ""), (None, "")])
def test_budget_names_the_text_if_it_is_read_more_than_once(text, more):
    """Equal numbers of words read from texts of two sizes are no equal data."""
    config = {"budget": {"words": 1000, "seconds": None}, "corpus": {"name": "c", "train_words": text}}
    [budget] = run_table.runs([partial_record(config=config)]).budget
    assert budget == f"equal data: 1,000 words{more}"


@pytest.mark.parametrize(
    ("text", "limit", "more"),
    [(300, None, " from a text of 300"), (300, 1000, " from a text of 300"), (990, 1000, ""), (1000, None, ""),
     (5000, None, " of a text of 5,000, all of which floors count")],
)  # fmt: skip
def test_budget_names_the_text_that_was_measured_if_it_is_shorter_or_longer(text, limit, more):
    config = {"budget": {"words": 1000, "seconds": None}, "corpus": {"name": "c", "train_words": limit}}
    records = [partial_record(config=config, text_words=text), partial_record(config=config, seed=1, status="oom")]
    assert set(run_table.runs(records).budget) == {f"equal data: 1,000 words{more}"}


def test_variant_is_the_same_at_every_budget_and_another_for_another_trunk():
    def config(words: int, hidden: int) -> dict:
        return {
            "budget": {"words": words, "seconds": None},
            "corpus": {"name": "c", "train_words": words},
            "optimizer": {"lr": 1 / words},
            "system": {"model": {"lr": 1 / words}},  # as of GPT-2
            "backbone": {"trunk": {"hidden_size": hidden}},
        }

    runs = run_table.runs([partial_record(config=config(*each)) for each in ((10, 256), (100, 256), (1000, 512))])
    assert list(runs.label) == ["softmax"] * 3
    assert list(runs.variant) == [0, 0, 1]


def test_brier_lm_of_a_cell_is_undefined_if_the_draws_of_one_seed_never_differ():
    records = [
        partial_record(seed=0, brier_lm=4.0, brier_n=[0.1, 0.1, 0.1, 0.1], blocks={"words": [9.0], "drawn": [9.0]}),
        partial_record(seed=1, blocks={"words": [9.0], "drawn": [0.0]}),
    ]
    [cell] = run_table.cells(run_table.runs(records)).to_dict("records")
    assert cell["is_undefined"] and np.isnan(cell["brier_lm"])


def test_run_that_other_work_slowed_has_no_training_time_but_that_of_its_encoder():
    times = {"train_seconds": 30.0, "encode_seconds": 60.0, "curve": [{"words": 1.0, "seconds": 2.0}]}
    records = [
        partial_record(seed=seed, bits_per_byte=2.0, cpu_share=share, **times) for seed, share in enumerate((0.5, 0.9))
    ]
    runs = run_table.runs(records)
    assert runs.train_seconds.isna().tolist() == [True, False] and runs.encode_seconds.tolist() == [60.0, 60.0]
    assert [["seconds" in row for row in curve] for curve in runs.curve] == [[False], [True]]
    (cell,) = run_table.cells(runs).to_dict("records")
    assert (cell["seeds"], cell["train_seconds"], cell["bits_per_byte"]) == (2, 30.0, 2.0)
    assert run_table.runs(records[:1]).train_seconds.tolist() == [30.0]  # of slowed runs alone, times are shown


def predictions(seed: int, file: str):
    system = {"name": "jepa", "kind": "regressor", "model": {"sha256": file}}
    return partial_record(system="jepa", seed=seed, bits_per_byte=2.0 + seed, config={"system": system, "seed": seed})


def test_files_of_predictions_of_several_seeds_are_seeds_of_one_cell():
    (cell,) = run_table.cells(run_table.runs([predictions(seed, f"{seed}a") for seed in range(3)])).to_dict("records")
    assert (cell["label"], cell["seeds"], cell["bits_per_byte"]) == ("jepa", 3, 3.0)


def test_one_file_of_predictions_has_one_seed_however_often_it_is_scored():
    (cell,) = run_table.cells(run_table.runs([predictions(seed, "aa") for seed in range(3)])).to_dict("records")
    assert (cell["label"], cell["seeds"], cell["bits_per_byte"]) == ("jepa", 1, 2.0)


def test_two_files_of_predictions_of_one_seed_are_two_cells():
    cells = run_table.cells(run_table.runs([predictions(0, "aaaaaaaa"), predictions(0, "bbbbbbbb")]))
    assert cells.label.tolist() == ["jepa, file aaaaaaaa", "jepa, file bbbbbbbb"]


def test_targets_that_a_run_does_not_read_make_no_variant_of_it():
    configs = [
        {"inputs": "learned", "seed": seed, "targets": {"level": level}} for seed, level in ((0, "token"), (1, "type"))
    ]
    cells = run_table.cells(run_table.runs([partial_record(seed=each["seed"], config=each) for each in configs]))
    assert cells.label.tolist() == ["softmax"] and cells.seeds.tolist() == [2]
    read = [each | {"system": {"head": {"targets": each["targets"]}}} for each in configs]
    cells = run_table.cells(run_table.runs([partial_record(seed=each["seed"], config=each) for each in read]))
    assert cells.label.tolist() == ["softmax, tokens", "softmax, types"]


def test_times_on_several_devices_or_in_another_precision_are_of_another_origin():
    trainers = [
        {},
        {"devices": 1, "precision": "32-true"},
        {"devices": [3]},
        {"devices": 8},
        {"precision": "bf16-mixed"},
    ]
    system = {"system": {"kind": "classifier"}}
    records = [partial_record(device="H200", config=system | {"trainer": trainer}) for trainer in trainers]
    assert [origin(each) for each in records] == ["H200", "H200", "H200", "H200, devices: 8", "H200, bf16-mixed"]
    floor = partial_record(device="H200", config={"system": {"kind": "floor"}, "trainer": {"precision": "bf16-mixed"}})
    assert origin(floor) == origin(records[-1])  # one origin of a sweep
