"""Tables of head ledgers at one V."""

import numpy as np
import pytest
from factories.ledgers import CONTENDER_SIZES, titled, value_texts

from bench.report.cost_tables import enclosing
from bench.report.ledgers import Section
from bench.report.number_format import mean_and_error


def test_training_is_step_plus_update_and_is_compared_with_softmax_at_the_same_size(section: Section):
    sheet = titled(section, "V = 10,000: training")
    assert value_texts(sheet, "training_ms")["softmax"] == "12.0 [11.6, 12.5]"
    assert value_texts(sheet, "training_ratio")["cosine"] == "0.250"
    assert value_texts(sheet, "training_ratio")["softmax"] == "1.00"
    assert value_texts(sheet, "peak_share")["cosine"] == "50.0"
    assert [row.label for row in sheet.rows] == [
        "cosine", "sampled_softmax", "adaptive_softmax", "softmax", "× liger"
    ]  # fmt: skip
    assert {row.label for row in sheet.rows if row.values["training_ms"].leads} == {"cosine", "sampled_softmax"}
    assert "sgd_ms" not in {column.name for column in sheet.columns}


def test_memory_is_weights_state_and_peak(section: Section):
    assert value_texts(titled(section, "V = 10,000: memory"), "total_mib")["cosine"] == "38.0"


def test_row_keeps_its_other_figures_when_a_step_is_out_of_memory(section: Section):
    largest = f"V = {CONTENDER_SIZES[-1]:,}"
    training = titled(section, f"{largest}: training")
    assert value_texts(training, "peak_share")["× softmax"] == "50.0"
    assert value_texts(training, "training_ms")["× softmax"] == "–"
    assert "training_ratio" not in {column.name for column in training.columns}
    decoding = titled(section, f"{largest}: exact decoding")
    assert value_texts(decoding, "decode_256_ms")["× softmax"] == "1,000 [970, 1,040]"
    assert value_texts(decoding, "decode_ratio")["cosine"] == "1.50"
    assert decoding.failures == ["softmax × oom: step: 4 GiB asked"]
    assert "× liger" not in value_texts(decoding, "decode_1_ms")


def test_index_is_compared_with_exact_search(section: Section):
    sheet = titled(section, "V = 10,000: approximate decoding")
    assert value_texts(sheet, "index_recall_at_10") == {"cosine, hnsw": "95.0", "× cosine, ivf": "–"}
    assert value_texts(sheet, "index_ratio")["cosine, hnsw"] == "0.0312"  # 0.05 of 1.6 ms


@pytest.mark.parametrize(
    ("low", "value", "high", "text"),
    [
        (1.93, 1.97, 2.01, "[1.93, 2.01]"),
        (522.3, 522.46, 522.8, "[522, 523]"),  # no more decimals than 522 has
        (0.1579, 0.158, 0.21, "[0.158, 0.210]"),  # 0.16 is above 0.158
        (2240.55, 2240.55, 2240.55, ""),
        (0.0, 0.0, 0.0, ""),
        (0.09, 0.0908, 0.8, "[0.09, 0.80]"),
        (1.4e5, 177_000.0, 2.9e5, "[140,000, 290,000]"),
        (2.81e6, 1.73e7, 2.41e7, "[2.8×10⁶, 2.4×10⁷]"),
        (1.732e7, 1.734e7, 2.4e7, "[1.7×10⁷, 2.4×10⁷]"),
        (10.0, 9.17, 90.0, "[9, 90]"),  # widened to the value
    ],
)
def test_interval_contains_the_printed_value_and_has_a_width(low: float, value: float, high: float, text: str):
    assert enclosing(low, value, high) == text


def test_printed_value_is_inside_its_printed_interval_for_random_spans():
    random = np.random.default_rng(0)
    for _ in range(2000):
        middle = 10 ** random.uniform(-4, 6.5)
        low, value, high = np.sort(middle * np.exp(10 ** random.uniform(-6, 0) * random.normal(size=3)))
        if value >= 1e6 or high >= 1e6:
            continue
        ends = [float(end.replace(",", "")) for end in enclosing(low, value, high)[1:-1].split(", ")]
        assert ends[0] <= float(mean_and_error(value).replace(",", "")) <= ends[1] and ends[0] < ends[1]
