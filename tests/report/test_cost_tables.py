"""Tables of head ledgers at one V."""

from factories.ledgers import CONTENDER_SIZES, titled, value_texts

from bench.report.ledgers import Section


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
