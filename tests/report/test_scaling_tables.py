"""Tables of laws and crossovers."""

import numpy as np
import pytest
from factories.ledgers import titled, value_texts

from bench.report import scaling_tables
from bench.report.ledgers import Section


def test_law_is_fitted_to_the_sizes_that_were_measured(section: Section):
    sheet = titled(section, "What training costs as V grows")
    assert value_texts(sheet, "growth")["cosine"] == "0 flat"
    assert value_texts(sheet, "fixed")["softmax"] == "– 3 V measured, a law needs 4"  # out of memory at the fourth
    assert value_texts(sheet, "far")["cosine"].startswith("3.00 [")
    assert value_texts(sheet, "far")["cosine"].endswith("extrapolated")
    decoding = titled(section, "What decoding 256 queries costs as V grows")
    assert value_texts(decoding, "growth")["softmax"].startswith("1.00 [0.9")
    assert float(value_texts(decoding, "far")["softmax"].split(" [")[0].replace(",", "")) == pytest.approx(
        10_001, rel=0.02
    )


def test_crossovers_follow_from_the_laws(section: Section):
    (sheet,) = (each for each in section.summary if each.title == "V from which one head costs less")
    fields = [column.name for column in sheet.columns]
    assert fields == [  # full softmax has too few V for a law of training
        "training_ms adaptive_softmax", "decode_1_ms softmax", "decode_1_ms adaptive_softmax",
        "decode_256_ms softmax", "decode_256_ms adaptive_softmax",
    ]  # fmt: skip
    assert value_texts(sheet, "training_ms adaptive_softmax")["cosine"] == "always"
    assert value_texts(sheet, "decode_256_ms softmax")["cosine"] == "never"
    assert value_texts(sheet, "decode_256_ms softmax")["sampled_softmax"] == "≈"
    assert value_texts(sheet, "decode_1_ms softmax")["softmax"] == "–"


@pytest.mark.parametrize(
    "at, text",
    [
        (scaling_tables.Crossover(2345.0, 1900.0, 2800.0), "2,300 [1,900, 2,800]"),
        (scaling_tables.Crossover(2.345e6, 1.2e6, np.inf), "not seen [1,200,000*, never]"),
        (scaling_tables.Crossover(0.0, 0.0, 0.0), "always"),
        (scaling_tables.Crossover(np.inf, np.inf, np.inf), "never"),
        (scaling_tables.Crossover(np.inf, 40_000.0, np.inf), "never [40,000, never]"),
        (scaling_tables.Crossover(5000.0, 4000.0, np.inf, until=True), "to 5,000 [4,000, always]"),
    ],
)
def test_crossover_in_a_table(at: scaling_tables.Crossover, text: str):
    assert str(scaling_tables.format_crossover(at, measured=1_000_000)) == text
