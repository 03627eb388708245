"""Charts and tables of an experiment: values of the records, a line per system, nothing without data."""

import dataclasses

import pytest
from factories.experiments import experiment
from factories.records import blocked_record, partial_record

from bench.dashboard.charts import charts, generation_frame
from bench.dashboard.tables import tables
from bench.report import run_table
from bench.report.generation_texts import REAL

SWEEP = experiment("sweep", (1000, 5000))


@pytest.fixture(scope="module")
def drawn():
    return charts(run_table.runs(SWEEP))


def mean(field: str, **wanted: object) -> float:
    values = [getattr(each, field) for each in SWEEP if all(getattr(each, name) == wanted[name] for name in wanted)]
    return sum(values) / len(values)


def test_quality_against_cost_has_a_line_per_trained_system_through_every_size(drawn):
    frame = drawn["bits_per_byte_against_train_seconds"].frame
    assert list(frame.line) == ["mse", "mse", "softmax", "softmax"]  # a floor is not trained
    for size in (1000, 5000):
        wanted = {"system": "softmax", "vocabulary_size": size}
        point = frame[(frame.line == "softmax") & (frame.train_seconds == mean("train_seconds", **wanted))]
        assert point.bits_per_byte.item() == pytest.approx(mean("bits_per_byte", **wanted))


def test_cost_grows_along_vocabulary_sizes_in_the_unit_of_the_title(drawn):
    chart = drawn["parameters"]
    assert chart.fields == {"step": "vocabulary_size", "lineKey": "line", "lineVal": "parameters"}
    assert chart.strings["title"] == "params M (millions) against V"
    assert chart.frame[chart.frame.line == "softmax"].parameters.tolist() == pytest.approx([2.128, 2.64])


@pytest.mark.parametrize(("unit", "first"), [("words", 50_000), ("seconds", 10.555), ("flops", 1.0555e12)])
def test_learning_curves_have_a_line_per_system_and_size(drawn, unit, first):
    frame = drawn[f"validation_nats_against_{unit}"].frame
    assert frame.groupby("line").size().to_dict() == {
        "mse, V = 1,000": 10, "mse, V = 5,000": 10, "softmax, V = 1,000": 10, "softmax, V = 5,000": 10,
    }  # fmt: skip
    assert frame[unit].iloc[0] == pytest.approx(first, rel=0.02)


def test_accuracy_by_frequency_has_ten_points_per_line(drawn):
    frame = drawn["accuracy_by_decile"].frame
    line = frame[frame.line == "unigram, V = 1,000"]
    assert line.tenth.tolist() == list(range(1, 11))
    record = next(each for each in SWEEP if each.system == "unigram" and each.vocabulary_size == 1000)
    assert line.accuracy_at_1.iloc[0] == pytest.approx(100 * record.accuracy_by_decile[0], rel=0.2)


def test_bars_of_a_diagnosis_sum_to_the_accuracy_of_the_reference(drawn):
    frame = drawn["diagnosis"].frame
    bars = frame[frame.line.str.startswith("mse, V = 1,000: ")]
    assert bars.share.sum() == pytest.approx(100)
    assert bars.share[bars.line.str.endswith("own accuracy")].item() == pytest.approx(60)


def test_generated_text_stands_beside_real_text(drawn):
    """Each V has its own real text, since its judge is counted on the training words of the cell."""
    frame = drawn["generation_distinct_2"].frame
    real = frame[frame.line.str.startswith("real text")]
    assert real.line.tolist() == ["real text, V = 1,000", "real text, V = 5,000"]
    assert real.distinct_2.tolist() == [50, 50]


def test_one_size_has_bars_of_cost_and_no_lines_of_a_single_point():
    found = charts(run_table.runs(experiment("single", (5000,))))
    assert "bits_per_byte_against_train_seconds" not in found
    assert found["decode_ms_1"].preset == "wandb/bar/v0"
    assert list(found["decode_ms_1"].frame.line) == ["softmax", "mse"]


def test_runs_without_measurements_have_no_charts():
    assert charts(run_table.runs([partial_record(bits_per_byte=2.0)])) == {}


def test_leaderboard_shows_the_texts_of_the_published_table():
    frame = tables(run_table.runs(SWEEP))["leaderboard"]
    assert frame[["V", "system", "seeds"]].iloc[0].tolist() == [1000, "softmax", 2]
    assert " ± " in frame["bits per byte ↓"].iloc[0]


def test_texts_of_all_systems_stand_side_by_side():
    frame = tables(run_table.runs(SWEEP))["texts"]
    row = frame[(frame.V == "1000") & (frame.prompt == "in the beginning") & (frame.decoding == "greedy")]
    assert row[["softmax", "mse"]].iloc[0].tolist() == [SWEEP[0].generations[0]["greedy"]] * 2
    assert len(frame) == 2 * 4 * 2  # sizes, prompts, ways of decoding


def test_leaderboard_without_softmax_is_compared_with_sampled_softmax_as_in_the_report():
    records = [
        blocked_record(system, bits + 0.001 * seed, seed=seed)
        for system, bits in (("sampled_softmax", 2.0), ("cosine", 2.5))
        for seed in range(3)
    ]
    rows = tables(run_table.runs(records))["leaderboard"].set_index("system")
    assert "†" in rows.loc["cosine"].to_string() and "†" not in rows.loc["sampled_softmax"].to_string()


def test_perplexities_of_two_judges_are_not_in_one_chart():
    records = []
    for each, judge in zip(
        (SWEEP[0], next(each for each in SWEEP if each.system == "mse")), ("one", "two"), strict=True
    ):
        texts = {
            way: each.generation_quality[way] | {"causal_judge_perplexity": 9.0}
            for way in ("greedy", "sampled", "real")
        }
        records.append(
            dataclasses.replace(each, generation_quality=each.generation_quality | texts | {"causal_judge": judge})
        )
    frame = generation_frame(run_table.runs(records)).set_index("line")
    judged = frame.causal_judge_perplexity.dropna().index
    assert {name.partition(",")[0] for name in judged} in ({"softmax", REAL}, {"mse", REAL})
