"""Sentences computed from cells."""

from factories.records import blocked_record, partial_record

from bench.core.record import Record
from bench.report import run_table
from bench.report.headline import headline


def test_headline_compares_best_system_and_regressor_with_softmax():
    records = [
        partial_record(system="softmax", bits_per_byte=2.0, accuracy_at_1=0.2, head_train_ms_per_1k=4.0),
        partial_record(system="mse", bits_per_byte=2.25, accuracy_at_1=0.15, head_train_ms_per_1k=1.0),
    ]
    cells = run_table.cells(run_table.runs(records))
    assert list(headline(cells)) == [
        "softmax needs the fewest bits per byte at V = 1,000: 2.00.",
        "mse against softmax at V = 1,000: +0.25 bits per byte, −5.0 points of raw accuracy@1 "
        "and 0.25 times the time to train the head (V = 1,000).",
    ]
    assert list(headline(cells[cells.system == "mse"])) == ["mse needs the fewest bits per byte at V = 1,000: 2.25."]


def seeds_of(system: str, bits: float, noise: float = 0.0, **fields: object) -> list[Record]:
    """Return three records of one cell whose seeds differ by a thousandth of a bit per byte."""
    return [blocked_record(system, bits + 0.001 * seed, noise, seed=seed, **fields) for seed in range(3)]


def test_headline_says_which_differences_are_significant():
    records = [*seeds_of("softmax", 2.0), *seeds_of("mse", 2.1, 0.02), *seeds_of("cosine", 2.001, 0.02)]
    first, cosine, mse = headline(run_table.cells(run_table.runs(records)))
    assert first == (
        "softmax needs the fewest bits per byte at V = 1,000: 2.01; no significant difference to cosine at V = 1,000."
    )
    assert "+0.10 bits per byte (significant)" in mse
    assert "+0.00 bits per byte (not significant)" in cosine
    ahead, *_ = headline(run_table.cells(run_table.runs(records[:6])))
    assert ahead.endswith(": 2.01; significantly ahead of mse at V = 1,000.")


def test_headline_claims_nothing_about_one_seed():
    records = [blocked_record("softmax", 2.0), blocked_record("mse", 2.5)]
    first, mse = headline(run_table.cells(run_table.runs(records)))
    assert first == "softmax needs the fewest bits per byte at V = 1,000: 2.01."
    assert mse == "mse against softmax at V = 1,000: +0.50 bits per byte and +0.0 points of raw accuracy@1."


def test_headline_finds_no_significant_difference_when_seeds_vary_more():
    """The documents agree on the difference of the means; the seeds are too far apart to tell."""
    records = [blocked_record("softmax", bits, seed=seed) for seed, bits in enumerate((2.0, 2.1))]
    records += [blocked_record("mse", bits, seed=seed) for seed, bits in enumerate((2.05, 2.15))]
    first, mse = headline(run_table.cells(run_table.runs(records)))
    assert first.endswith("no significant difference to mse at V = 1,000.")
    assert "+0.05 bits per byte (not significant)" in mse


def test_headline_names_the_sizes_without_a_significant_difference():
    records = [
        record
        for size, shift in ((1000, 0.1), (5000, 0.001))
        for system, bits, noise in (("softmax", 2.0, 0.0), ("mse", 2.0 + shift, 0.02))
        for record in seeds_of(system, bits, noise, vocabulary_size=size)
    ]
    _, mse = headline(run_table.cells(run_table.runs(records)))
    assert "+0.00 to +0.10 bits per byte (not significant at V = 5,000)" in mse


def test_each_variant_of_a_regressor_has_a_sentence_of_its_own():
    levels = {"token": 2.4, "type": 2.3}
    configs = {level: {"system": {"kind": "regressor"}, "targets": {"level": level}} for level in levels}
    records = [
        partial_record(system="mse", bits_per_byte=bits + size / 1e5, vocabulary_size=size, config=configs[level])
        for level, bits in levels.items()
        for size in (1000, 5000)
    ]
    records += [partial_record(bits_per_byte=2.0, vocabulary_size=size) for size in (1000, 5000)]
    _, tokens, types = headline(run_table.cells(run_table.runs(records)))
    assert tokens == "mse, tokens against softmax at V = 1,000 and 5,000: +0.41 to +0.45 bits per byte."
    assert types == "mse, types against softmax at V = 1,000 and 5,000: +0.31 to +0.35 bits per byte."


def test_headline_compares_with_the_named_baseline_on_the_same_test_words():
    records = [
        partial_record(bits_per_byte=2.0, test_words=100),
        partial_record(system="nce", bits_per_byte=2.1, test_words=100),
        partial_record(system="mse", bits_per_byte=2.3, test_words=100),
        partial_record(system="cosine", bits_per_byte=2.4, test_words=90),
    ]
    _, *others = headline(run_table.cells(run_table.runs(records)), "nce")
    assert others == ["mse against nce at V = 1,000: +0.20 bits per byte."]


def test_headline_compares_no_times_of_different_commits():
    records = [
        partial_record(bits_per_byte=2.0, head_train_ms_per_1k=4.0, git_commit="a" * 40),
        partial_record(system="mse", bits_per_byte=2.3, head_train_ms_per_1k=1.0, git_commit="b" * 40),
    ]
    _, mse = headline(run_table.cells(run_table.runs(records)))
    assert mse == "mse against softmax at V = 1,000: +0.30 bits per byte."
