"""Sentences computed from cells."""

from factories.records import blocked_record, partial_record

from bench.report import run_table, significance
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


def test_headline_says_which_differences_are_clear():
    records = [blocked_record("softmax", 2.0), blocked_record("mse", 2.1, 0.02), blocked_record("cosine", 2.001, 0.02)]
    first, cosine, mse = headline(run_table.cells(run_table.runs(records)))
    assert first == (
        "softmax needs the fewest bits per byte at V = 1,000: 2.01; no clear difference to cosine at V = 1,000."
    )
    assert "+0.10 bits per byte (interval excludes 0)" in mse
    assert "+0.00 bits per byte (no clear difference)" in cosine
    ahead, *_ = headline(run_table.cells(run_table.runs(records[:2])))
    assert ahead.endswith(": 2.01; ahead of mse at V = 1,000, interval excludes 0.")


def test_headline_finds_no_clear_difference_when_seeds_vary_more():
    """The documents agree on the difference of the means; the seeds are too far apart to tell."""
    records = [blocked_record("softmax", bits, seed=seed) for seed, bits in enumerate((2.0, 2.1))]
    records += [blocked_record("mse", bits, seed=seed) for seed, bits in enumerate((2.05, 2.15))]
    cells = run_table.cells(run_table.runs(records))
    assert significance.difference(cells.iloc[1], cells.iloc[0], "bits_per_byte").excludes_zero
    first, mse = headline(cells)
    assert first.endswith("no clear difference to mse at V = 1,000.")
    assert "+0.05 bits per byte (no clear difference)" in mse


def test_headline_names_the_sizes_without_a_clear_difference():
    records = [
        blocked_record(system, bits, noise, vocabulary_size=size)
        for size, shift in ((1000, 0.1), (5000, 0.001))
        for system, bits, noise in (("softmax", 2.0, 0.0), ("mse", 2.0 + shift, 0.02))
    ]
    _, mse = headline(run_table.cells(run_table.runs(records)))
    assert "+0.00 to +0.10 bits per byte (no clear difference at V = 5,000)" in mse
