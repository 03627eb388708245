"""Law of quality over training words: exponent, gap to the baseline, and their intervals."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories.records import DIFFICULTY, blocked_record, write_all
from scipy import stats

from bench.core.record import Record
from bench.evaluation.intervals import BlockSums
from bench.report import report, run_table
from bench.report.data_law import exponent, gap_growth, law_tables, misfit
from bench.report.words_plots import with_words

WORDS = (1_000, 10_000, 100_000, 1_000_000)

ALPHA = 0.05

EQUAL = (0.0, 0.0)  # two seeds of equal figures


def grown(system: str, bits: dict[int, float], shifts: tuple[float, ...] = (0.0,), kind: str = "classifier"):
    """Return records of a system with these bits per byte at each number of words, and a seed per shift."""
    return [
        blocked_record(
            system,
            value + shift - float(DIFFICULTY.mean()),
            config={"system": {"kind": kind}, "budget": {"words": words, "seconds": None}},
            vocabulary_size=1000,
            seed=seed,
        )
        for words, value in bits.items()
        for seed, shift in enumerate(shifts)
    ]


def power_law() -> dict[int, float]:
    return {words: 3.0 * words**-ALPHA for words in WORDS}


def widening(step: float) -> dict[int, float]:
    """Bits per byte of `power_law`, plus a gap that grows by `step` per tenfold words."""
    return {words: bits + 0.1 + step * np.log10(words) for words, bits in power_law().items()}


def lines_of(records: list[Record]) -> dict[str, pd.DataFrame]:
    runs = run_table.runs(records)
    cells = with_words(runs, run_table.cells(runs))
    return {label: line.sort_values("words") for label, line in cells.groupby("label")}


def pairs_of(records: list[Record]) -> list[tuple[pd.Series, pd.Series]]:
    """Return the cells of cosine and of softmax at each number of words."""
    lines = lines_of(records)
    return [*zip(*(each.iloc for each in (lines["cosine"], lines["softmax"])), strict=True)]


def table_of(records: list[Record], name: str = "softmax"):
    runs = run_table.runs(records)
    return [*law_tables(runs, run_table.cells(runs), name)]


def test_exponent_of_an_exact_power_law_is_found_without_misfit():
    line = lines_of(grown("softmax", power_law()))["softmax"]
    found = exponent(line)
    assert found.value == pytest.approx(ALPHA)
    assert found.low < ALPHA < found.high  # documents differ in difficulty
    assert misfit(line) == pytest.approx(0.0, abs=1e-12)


def test_growth_of_the_gap_is_exact_if_both_systems_find_the_same_documents_difficult():
    pairs = pairs_of([*grown("softmax", power_law()), *grown("cosine", widening(0.02), kind="regressor")])
    assert gap_growth(pairs)[:3] == pytest.approx((0.02, 0.02, 0.02))


@pytest.mark.parametrize("sizes", [None, 2])
def test_spread_of_seeds_widens_the_interval_by_student_s_t_of_all_sizes(sizes):
    spread = 0.01
    records = [*grown("softmax", power_law(), EQUAL), *grown("cosine", widening(0.02), (-spread, spread), "regressor")]
    pairs = pairs_of(records)
    found = gap_growth(pairs, sizes)
    places = np.log10(WORDS[-sizes:] if sizes else WORDS)
    # variance of two seeds, of their mean, of the slope
    error = (2 * spread**2 / 2 / np.square(places - places.mean()).sum()) ** 0.5
    reach = stats.t.ppf(0.975, len(WORDS)) * error
    assert found == pytest.approx((0.02, 0.02 - reach, 0.02 + reach, True))


def test_spread_of_seeds_of_the_small_sizes_holds_for_the_last_two_too():
    spread = 0.01
    small = {words: bits for words, bits in widening(0.02).items() if words <= WORDS[1]}
    large = {words: bits for words, bits in widening(0.02).items() if words > WORDS[1]}
    records = [*grown("softmax", power_law(), EQUAL), *grown("cosine", small, (-spread, spread), "regressor")]
    pairs = pairs_of([*records, *grown("cosine", large, kind="regressor")])
    reach = stats.t.ppf(0.975, 2) * (2 * spread**2 / 0.5) ** 0.5  # of one seed; places −0.5 and 0.5
    assert gap_growth(pairs, 2) == pytest.approx((0.02, 0.02 - reach, 0.02 + reach, True))


@pytest.mark.parametrize("seeds", [((0.0,), (-0.01, 0.01)), ((-0.01, 0.01), (0.0,))])
def test_interval_is_over_documents_alone_and_leads_nothing_if_one_side_has_one_seed(seeds):
    ours, theirs = seeds
    records = [*grown("softmax", power_law(), theirs), *grown("cosine", widening(0.02), ours, kind="regressor")]
    pairs = pairs_of(records)
    assert gap_growth(pairs) == pytest.approx((0.02, 0.02, 0.02, False))
    (table,) = table_of(records)
    gap = {row.label: row.values for row in table.rows}["cosine"]["gap"]
    assert float(gap.text) == 0.02 and not gap.leads


def test_variant_at_one_number_of_words_alone_leaves_the_law_of_another_as_it_is():
    def over(name: str, dimension: int, records: list[Record]) -> list[Record]:
        targets = {"name": name, **({"dimension": dimension} if name == "random" else {})}
        return [dataclasses.replace(each, config=each.config | {"targets": targets}) for each in records]

    last = {WORDS[-1]: power_law()[WORDS[-1]] + 0.2}
    records = [*over("random", 384, grown("nce", power_law())), *over("bert", 0, grown("nce", widening(0.0)))]
    (expected,) = table_of(records, "nce, BERT vectors")
    (table,) = table_of([*records, *over("random", 256, grown("nce", last))], "nce, BERT vectors")
    assert [row.values for row in table.rows] == [row.values for row in expected.rows]
    assert len(table.rows) == 2 and table.rows[0].label == "nce, 384 columns, random vectors"


def sampled_line(random: np.random.Generator) -> pd.DataFrame:
    """Return cells on `power_law` whose bits per byte vary by document, by seed, and by seed and document."""
    rows = []
    for words, bits in power_law().items():
        documents = bits + random.normal(0, 0.02, 16)
        each_seed = [documents + random.normal(0, 0.01) + random.normal(0, 0.002, 16) for _ in range(3)]
        sums = [{"words": [100.0] * 16, "bytes": [500.0] * 16, "nats": each * 500 * np.log(2)} for each in each_seed]
        rows.append({"words": words, "kind": "classifier", "blocks": BlockSums.from_seeds(sums)})
    return pd.DataFrame(rows)


def test_interval_covers_the_exponent_in_nineteen_of_twenty_samples():
    random, samples = np.random.default_rng(0), 200
    found = [exponent(sampled_line(random)) for _ in range(samples)]
    covered = sum(each.low <= ALPHA <= each.high for each in found)
    assert stats.binomtest(covered, samples, 0.95).pvalue > 0.001, covered


def test_table_has_a_row_per_system_and_highlights_a_gap_that_widens():
    records = [*grown("softmax", power_law(), EQUAL), *grown("cosine", widening(0.02), (-0.001, 0.001), "regressor")]
    (table,) = table_of(records)
    rows = {row.label: row.values for row in table.rows}
    assert list(rows) == ["softmax", "cosine"]
    assert rows["softmax"]["exponent"].text == "0.050" and rows["softmax"]["gap"].text == "–"
    assert rows["cosine"]["gap"].text == "+0.0200" and rows["cosine"]["gap"].leads
    assert "1,000 to 1,000,000 training words" in table.caption


def test_system_without_the_largest_number_of_words_names_those_it_has():
    three = {words: bits for words, bits in widening(0.02).items() if words < max(WORDS)}
    (table,) = table_of([*grown("softmax", power_law()), *grown("cosine", three)])
    assert [row.label for row in table.rows] == ["softmax", "cosine (1,000 to 100,000 words)"]


def test_larger_trunk_at_one_number_of_words_is_not_part_of_the_law():
    *records, last = grown("softmax", power_law())
    larger = last.config | {"backbone": {"trunk": {"hidden_size": 1024}}}
    records = [
        dataclasses.replace(each, config=each.config | {"backbone": {"trunk": {"hidden_size": 256}}})
        for each in records
    ]
    (table,) = table_of([*records, dataclasses.replace(last, config=larger)])
    three = {words: bits for words, bits in power_law().items() if words < max(WORDS)}
    (expected,) = table_of(grown("softmax", three))
    assert [row.values for row in table.rows] == [row.values for row in expected.rows]


def test_two_sizes_or_another_test_text_give_no_law():
    two = grown("softmax", {words: bits for words, bits in power_law().items() if words < 100_000})
    assert table_of(two) == []
    first, *others = grown("softmax", power_law())
    longer = dataclasses.replace(first, blocks=first.blocks | {"words": [101.0, *first.blocks["words"][1:]]})
    (table,) = table_of([longer, *others])
    assert table.rows[0].values["exponent"].text == "–"


def test_sampled_softmax_is_the_baseline_of_a_report_without_full_softmax(tmp_path: Path):
    write_all([*grown("sampled_softmax", power_law()), *grown("cosine", widening(0.02), kind="regressor")], tmp_path)
    report([tmp_path], tmp_path)
    text = (tmp_path / "leaderboard.md").read_text()
    assert "gap to sampled_softmax, per tenfold" in text and "Differences to sampled_softmax" in text
    page = (tmp_path / "index.html").read_text()
    assert "How quality grows with the training text" in page
    assert 'aria-label="quality as the training text grows"' in page


def test_gap_of_fewer_sizes_than_the_law_names_them():
    known = {words: bits for words, bits in power_law().items() if words < WORDS[-1]}
    (table,) = table_of([*grown("softmax", known), *grown("cosine", widening(0.02), kind="regressor")])
    row = next(row for row in table.rows if row.label == "cosine")
    assert row.values["gap"].note == row.values["last_gap"].note == "1,000 to 100,000 words"
    (table,) = table_of([*grown("softmax", power_law()), *grown("cosine", widening(0.02), kind="regressor")])
    assert next(row for row in table.rows if row.label == "cosine").values["gap"].note == ""


def test_gap_is_to_one_variant_of_the_baseline_the_best_at_the_largest_size():
    def drawn(samples: int, shift: float, last: float) -> list[Record]:
        bits = {words: each + (last if words == WORDS[-1] else shift) for words, each in power_law().items()}
        records = grown("softmax", bits)
        return [dataclasses.replace(each, config=each.config | {"samples": samples}) for each in records]

    cosine = grown("cosine", widening(0.02), kind="regressor")
    (table,) = table_of([*drawn(64, -0.01, 0.05), *drawn(256, 0.0, 0.0), *cosine])
    assert float(next(row for row in table.rows if row.label == "cosine").values["gap"].text) == 0.02


def test_limit_of_the_text_that_is_not_the_budget_makes_no_further_size_of_a_law():
    def with_limit(records: list[Record], limit: int | None) -> list[Record]:
        corpus = {"name": "c", "train_words": limit}
        return [
            dataclasses.replace(each, config=each.config | {"corpus": corpus}, text_words=10**7) for each in records
        ]

    two = {words: power_law()[words] for words in WORDS[:2]}
    records = [record for words, bits in two.items() for record in with_limit(grown("nce", {words: bits}), words)]
    assert table_of([*records, *with_limit(grown("nce", {WORDS[0]: 2.0}), None)], "nce") == []
