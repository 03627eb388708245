"""Leaderboards as Markdown and HTML."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from factories.records import blocked_record, partial_record, write_all
from factories.reports import rows_of, written_report

from bench.core.record import Record, write_record
from bench.report import glossary, leaderboard, number_format, report, run_table


def test_best_trained_system_leads_and_no_floor_limit_or_proxy_does():
    records = [
        partial_record(system="softmax", bits_per_byte=2.0, raw_closed_perplexity=50.0, is_density=True),
        partial_record(system="mse", bits_per_byte=2.5, raw_closed_perplexity=40.0, is_density=False),
        partial_record(system="unigram", bits_per_byte=1.0, raw_closed_perplexity=30.0, is_density=True),
        partial_record(system="truth", bits_per_byte=0.5, raw_closed_perplexity=20.0, is_density=True),
    ]
    rows = leaderboard.rows(run_table.cells(run_table.runs(records)))
    assert [row.title for row in rows] == ["softmax", "mse", "truth (limit)", "unigram (floor)"]
    assert [row.values["bits_per_byte"].leads for row in rows] == [True, False, False, False]
    raw = [row.values["raw_closed_perplexity"] for row in rows]
    assert [(str(figure), figure.leads) for figure in raw] == [
        ("50.0", True),
        ("40.0 proxy", False),
        ("20.0", False),
        ("30.0", False),
    ]


def test_leaderboard_shows_mean_and_error_of_a_cell(sweep_report: Path):
    runs = run_table.load([sweep_report])
    bits = runs[(runs.label == "mse") & (runs.vocabulary_size == 5000)].bits_per_byte
    text = number_format.mean_and_error(bits.mean(), bits.std(ddof=1) / 2**0.5, digits=4)
    section = (sweep_report / "leaderboard.md").read_text().split("V = 5,000\n")[1].split("\n## ")[0]
    quality, *_, cost = rows_of(section, "mse")
    assert quality[1] == text
    assert cost[-1] == quality[-1] == "2"
    assert "*unigram* (floor)" in section


def test_missing_value_is_a_dash_and_one_seed_has_no_error(tmp_path: Path):
    records = [partial_record(bits_per_byte=2.0), partial_record(system="mse", bits_per_byte=2.5, train_seconds=9.0)]
    markdown, html = written_report(records, tmp_path)
    assert rows_of(markdown, "softmax") == [["softmax", "**2.000**", "1"], ["softmax", "–", "1"]]
    assert rows_of(markdown, "mse") == [["mse", "2.500", "1"], ["mse", "**9.00**", "1"]]
    assert html.count('<td data-order="1e+300">–</td>') == 1  # in the leaderboard, where softmax has no time
    for text in (markdown, html):
        assert "±" not in text.split("## What")[0].split("Definitions of")[0]
        assert "†" not in text
        assert "one seed: no standard error" in text


def test_column_is_left_out_when_no_system_was_measured(tmp_path: Path):
    markdown, _ = written_report(
        [partial_record(bits_per_byte=2.0, brier=0.1), partial_record(system="mse", bits_per_byte=2.5)], tmp_path
    )
    heads = [line for line in markdown.splitlines() if line.startswith("| system")]
    assert heads[0] == "| system | bits per byte ↓ | Brier ↑ | seeds |"
    assert len(heads) == 1  # no cost was measured


def test_cell_shows_a_cross_and_the_reason_when_every_run_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_all([partial_record(status="oom", reason="no | memory")], tmp_path)
    report([tmp_path], tmp_path)
    row = "| × softmax | " + "– | " * len(glossary.quality("headline")) + r"0 × seed 0 oom: no \| memory |"
    assert row in (tmp_path / "leaderboard.md").read_text()
    assert "× seed 0 oom: no | memory" in (tmp_path / "index.html").read_text()
    assert "× seed 0 oom: no | memory" in capsys.readouterr().out


def test_each_corpus_has_a_table(tmp_path: Path):
    markdown, html = written_report(
        [partial_record(corpus=corpus, bits_per_byte=2.0) for corpus in ("wiki_sample", "kjv")], tmp_path
    )
    assert re.findall(r"^## (.*), V", markdown, re.MULTILINE) == ["kjv", "wiki_sample"]
    assert re.findall(r'<h2 class="group">Corpus: (.*)</h2>', html) == ["kjv", "wiki_sample"]


def test_equal_data_and_equal_time_have_separate_tables_and_figures(tmp_path: Path):
    budgets = [{"words": 300000, "seconds": None}, {"words": None, "seconds": 15.0}]
    records = [
        partial_record(
            system=system, bits_per_byte=2.0 + i, train_seconds=9.0, config={"budget": budget, "system": system}
        )
        for system in ("softmax", "mse")
        for i, budget in enumerate(budgets)
    ]
    markdown, html = written_report(records, tmp_path)
    assert re.findall(r"^## (.*V = .*)$", markdown, re.MULTILINE) == [
        "c, V = 1,000, equal data: 300,000 words",
        "c, V = 1,000, equal time: 15 s of training",
    ]
    assert re.findall(r'<h2 class="group">(.*)</h2>', html) == [
        "Equal data: 300,000 words",
        "Equal time: 15 s of training",
    ]
    assert [row[1] for row in rows_of(markdown, "softmax")] == ["**2.000**", "**9.00**", "**3.000**", "**9.00**"]
    assert " · equal time: 15 s of training · " in markdown
    for i, record in enumerate(records):
        write_record(record, tmp_path / str(i))
    report([tmp_path], tmp_path)
    assert (tmp_path / "figures" / "quality_vs_cost-equal_time_15_s_of_training.svg").is_file()


def test_caption_names_a_system_that_was_ranked_on_fewer_words(tmp_path: Path):
    records = [partial_record(bits_per_byte=2.0, test_words=900, ranked_words=900)]
    records.append(partial_record(system="gpt2-scratch", bits_per_byte=2.1, test_words=900, ranked_words=50))
    markdown, _ = written_report(records, tmp_path)
    assert "900 test words · gpt2-scratch ranked on 50 of them" in markdown
    assert "softmax ranked" not in markdown


def test_caption_names_a_system_whose_seeds_were_made_by_different_code(tmp_path: Path):
    records = [partial_record(bits_per_byte=2.0, seed=seed, source_sha256=f"{seed}") for seed in (0, 1)]
    records += [partial_record(system="mse", bits_per_byte=2.1, seed=seed, source_sha256="0") for seed in (0, 1)]
    markdown, _ = written_report(records, tmp_path)
    assert " · seeds of different code or pre-trained weights: softmax · " in markdown


def test_legend_says_that_an_interval_of_one_seed_is_over_the_text_alone(tmp_path: Path):
    single, floor = blocked_record("mse", 2.1), blocked_record("ngram", 2.2, config={"system": {"kind": "floor"}})
    several = [blocked_record("softmax", 2.0, seed=seed) for seed in (0, 1)]
    note = "over seeds and test text (of one seed: over the test text alone), from 16 blocks"
    assert note in written_report([*several, floor, single], tmp_path / "single")[0]
    assert note not in written_report([*several, floor], tmp_path / "several")[0]


def test_caption_gives_the_entropy_rate_when_it_is_known(tmp_path: Path):
    markdown, _ = written_report([partial_record(bits_per_byte=2.0, entropy_rate_bits=6.25)], tmp_path)
    assert "entropy rate 6.25 bits per word" in markdown


def test_excess_is_bits_above_the_truth_of_the_same_corpus_and_size(tmp_path: Path):
    records = [
        blocked_record("softmax", 2.0),
        blocked_record("truth", 1.8),
        blocked_record("softmax", 2.0, vocabulary_size=5000),
    ]
    cells = run_table.cells(run_table.runs(records))
    excess = dict(zip(zip(cells.vocabulary_size, cells.system, strict=True), cells.excess, strict=True))
    assert excess[1000, "softmax"] == pytest.approx(0.2 * 5)
    assert excess[1000, "truth"] == 0
    assert np.isnan(excess[5000, "softmax"])
    markdown, _ = written_report(records, tmp_path)
    small, large = markdown.split("V = 5,000\n")
    assert "excess bits ↓" in small and "excess bits ↓" not in large.split("## What")[0]
    assert "*truth* (limit)" in small
    (row, *_) = leaderboard.rows(cells[cells.vocabulary_size == 1000])
    assert str(row.values["excess"]) == "1.00 [1.00, 1.00]"  # what the two share cancels


def test_brier_lm_is_undefined_when_a_factor_is_not_positive():
    good = {"brier_n": [0.1, 0.1, 0.1, 0.1], "brier_lm": 10.0}
    bad = {"brier_n": [0.1, 0.1, 0.1, -0.1], "brier_lm": None}
    records = [
        partial_record(**good),
        partial_record(system="mse", **good),
        partial_record(system="mse", seed=1, **bad),  # one seed of two: no mean of the other
        partial_record(system="cosine"),
    ]
    texts = {
        row.label: str(row.values["brier_lm"]) for row in leaderboard.rows(run_table.cells(run_table.runs(records)))
    }
    assert texts == {"softmax": "10.0", "mse": "undef.", "cosine": "–"}


def test_costs_of_each_machine_and_commit_have_a_table_of_their_own(tmp_path: Path):
    softmax = [("a" * 40, 20.0), ("a" * 40, 20.0), ("b" * 40, 99.0)]
    times = {"softmax": softmax, "mse": [("a" * 40, 10.0)] * 2}
    records = [
        partial_record(
            system=system, seed=seed, bits_per_byte=2.0, train_seconds=seconds, device="A", git_commit=commit
        )
        for system, seeds in times.items()
        for seed, (commit, seconds) in enumerate(seeds)
    ]
    markdown, html = written_report(records, tmp_path)
    first, second = markdown.split(": costs, ")[1:]
    assert "Costs</summary>" not in markdown
    assert first.startswith("A, commit aaaaaaa\n") and second.startswith("A, commit bbbbbbb\n")
    assert rows_of(first, "softmax") == [["softmax", "20.0", "2"]] and rows_of(first, "mse") == [
        ["mse", "**10.0**", "2"]
    ]
    assert rows_of(second.split("## What")[0], "softmax") == [["softmax", "**99.0**", "1"]]
    assert rows_of(second.split("## What")[0], "mse") == []
    assert rows_of(markdown, "softmax")[0] == ["softmax", "**2.000**", "3"]  # quality does not depend on the machine
    assert "c, V = 1,000: costs, A, commit bbbbbbb" in html


def test_costs_of_one_machine_and_commit_are_in_the_table_of_systems(tmp_path: Path):
    records = [partial_record(bits_per_byte=2.0, train_seconds=9.0, seed=seed, git_commit="a" * 40) for seed in (0, 1)]
    records.append(partial_record(system="unigram", bits_per_byte=3.0, git_commit="b" * 40))  # without a cost
    records.append(partial_record(system="mse", status="failed", train_seconds=9.0, git_commit="c" * 40))
    markdown, _ = written_report(records, tmp_path)
    assert "Costs</summary>" in markdown and "costs, " not in markdown


def test_caption_names_settings_in_which_systems_differ_unless_a_label_does(tmp_path: Path):
    def record(system: str, streams: int, units: int) -> Record:
        config = {"system": {"kind": "classifier"}, "batch": {"streams": streams}, "backbone": {"size": units}}
        return partial_record(system=system, bits_per_byte=2.0, config=config)

    records = [record("softmax", 8, 256), record("nce", 4, 256)]
    assert " · trained systems differ in batch.streams" in written_report(records, tmp_path / "streams")[0]
    variants = [record("softmax", 8, 256), record("softmax", 8, 512)]
    assert "trained systems differ" not in written_report(variants, tmp_path / "variants")[0]


def test_caption_says_that_texts_of_one_name_have_different_content(tmp_path: Path):
    records = [partial_record(system=each, bits_per_byte=2.0, corpus_sha256=each) for each in ("softmax", "nce")]
    assert " · records of texts of different content" in written_report(records, tmp_path)[0]


def test_no_system_leads_a_column_whose_systems_have_other_test_words(tmp_path: Path):
    records = [blocked_record("softmax", 2.0), blocked_record("nce", 1.9)]
    assert "**" in "".join(rows_of(written_report(records, tmp_path / "same")[0], "nce")[0])
    records[1] = dataclasses.replace(records[1], blocks=records[1].blocks | {"words": [50.0] * 16})
    markdown = written_report(records, tmp_path / "other")[0]
    assert not any("**" in each for name in ("softmax", "nce") for row in rows_of(markdown, name) for each in row[1:2])
