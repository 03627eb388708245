"""Sections of the costs page, and costs.md."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from factories.ledgers import encoder_ledger, head_ledger, ledger_row, span, sweep_ledgers, value_texts

from bench.cost.schema import HeadLedger, HeadRow
from bench.report import cost_glossary, cost_report, cost_tables, ledgers
from bench.report.ledgers import Section


def ledgers_of_two_heads() -> list[HeadLedger]:
    """Return the synthetic ledgers of softmax and cosine alone, as every head costs a fit."""
    return [dataclasses.replace(each, rows=[each.rows[0], each.rows[3]]) for each in sweep_ledgers()]


def test_section_names_the_encoder_command_when_no_encoder_was_measured_here():
    for others in ([], [encoder_ledger(threads=1)], [encoder_ledger(device="another")]):
        (heads, *_) = cost_report.sections([*ledgers_of_two_heads(), *others])
        assert not [sheet for sheet in heads.summary if "encoding" in sheet.title]
        assert heads.headline[-1].endswith(
            "not measured, run python -m bench +experiment=cost_encoder on this machine."
        )
    without = [dataclasses.replace(each, rows=each.rows[:1]) for each in sweep_ledgers()]
    (heads,) = cost_report.sections(without)
    assert not [said for said in heads.headline if "cost_encoder" in said]


def test_facts_leave_out_the_peak_when_every_job_failed():
    row = HeadRow(
        contender="all", part="head", vocabulary_size=1000, status="failed", reason="cost.rounds: 'a'; give one"
    )
    (only,) = cost_report.sections([head_ledger(1000, [row], peak_gflops=[])])
    assert only.facts == "1,000 positions per step · hidden size 256 · word vectors of 384 · fp32 · cpu, 2 threads"
    (row,) = only.sizes[0].rows
    assert (row.label, row.failures) == ("× all", ["× failed: cost.rounds: 'a'; give one"])


def test_headline_groups_operations_with_equal_results(section: Section):
    assert section.headline == ["cosine is cheaper than softmax at no V in decoding 1 query and decoding 256 queries."]


def test_headline_follows_the_measurements_where_a_law_contradicts_them():
    """cosine is cheaper than softmax at V = 10,000 alone, which no law of the form a + b·V^γ describes."""
    swept = [
        dataclasses.replace(
            ledger,
            rows=[
                dataclasses.replace(row, decode_1_ms=span(0.5))
                if (row.contender, row.vocabulary_size) == ("cosine", 10_000)
                else row
                for row in ledger.rows
            ],
        )
        for ledger in ledgers_of_two_heads()
    ]
    (only,) = cost_report.sections([*swept, encoder_ledger()])
    assert only.headline == [
        "cosine is cheaper than softmax at V = 10,000, but dearer at V = 1,000, 100,000 and 1,000,000 (measured; the "
        "laws do not fit) in decoding 1 query; at no V in decoding 256 queries."
    ]
    (sheet,) = (each for each in only.summary if each.title == "V from which one head costs less")
    assert value_texts(sheet, "decode_1_ms softmax")["cosine"] == "no law"
    assert value_texts(sheet, "decode_256_ms softmax")["cosine"] == "never"


def test_page_and_markdown_show_the_same_tables(ledger_report: Path, capsys: pytest.CaptureFixture[str]):
    markdown, html = (ledger_report / "costs.md").read_text(), (ledger_report / "index.html").read_text()
    assert "| cosine against softmax, causal | never [" in markdown
    assert "## What the encoder costs" in markdown and "| vectors | cosine ↑ |" in markdown
    assert '<h2 class="group">What the encoder costs</h2>' in html and "<th>context</th>" in html
    assert "cosine against softmax, causal" in html and "× oom: step: 4 GiB asked" in html
    assert "× liger* (other library) × missing: needs a GPU" in markdown
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert {f"costs-{column.name}" for column in cost_glossary.EVERY_COST} <= set(ids)
    assert (
        html.split('<script type="module">')[0].count("<svg") == 4 + 1
    )  # of ledgers; of the one record, quality by system
    assert {path.stem for path in (ledger_report / "figures").glob("cost_*.svg")} >= {
        "cost_of_training",
        "cost_in_memory",
    }
    assert (ledger_report / "leaderboard.md").is_file()
    assert "<dt>cost ledgers</dt><dd>5</dd>" in html


def test_last_ledger_of_a_setting_counts_and_each_setting_has_a_section(tmp_path: Path):
    old, new = (
        head_ledger(1000, [ledger_row("cosine", 1000, step_ms=span(ms))], finished_at=f"2026-01-0{day}")
        for ms, day in ((9.0, 2), (5.0, 3))
    )
    other = head_ledger(1000, [ledger_row("cosine", 1000)], precision="bf16")
    for i, each in enumerate((new, old, other)):
        each.write(tmp_path / f"v1000-0000000{i}")
    frame = cost_report.rows(ledgers.load([tmp_path]))
    assert sorted(cost_tables.median_of(each) for each in frame.step_ms) == [2.0, 5.0]
    found = [*cost_report.sections(ledgers.load([tmp_path]))]
    assert [each.name for each in found] == ["-bf16", "-fp32"]
    assert found[0].headline[0] == "No laws and no crossovers: a law needs 4 V, and 1 were measured."
    assert [sheet.title for sheet in found[0].summary] == []


@pytest.mark.parametrize(
    "at, text",
    [
        (cost_report.Crossover(2345.0, 1900.0, 2800.0), "from V = 2,300 on"),
        (cost_report.Crossover(2.345e6, 1.2e6, np.inf), "at no V that was measured (uncertain beyond)"),
        (cost_report.Crossover(2.345e6, 1.2e6, 8e6), "from V = 2,300,000 on (extrapolated)"),
        (cost_report.Crossover(5000.0, 4000.0, np.inf, until=True), "up to V = 5,000"),
        (cost_report.Crossover(0.0, 0.0, 0.0), "at every V"),
        (cost_report.Crossover(np.inf, 9000.0, np.inf), "at no V"),
        (cost_report.Crossover(3000.0, 0.0, np.inf), "at no V with certainty (the costs cannot be distinguished)"),
    ],
)
def test_crossover_text_names_the_v_and_marks_extrapolation(at: cost_report.Crossover, text: str):
    assert cost_report.place_text(at, measured=1_000_000) == text


def test_ledgers_of_two_commits_have_sections_of_their_own():
    first, later = ledgers_of_two_heads(), ledgers_of_two_heads()
    later = [dataclasses.replace(each, rows=each.rows[1:], git_commit="b" * 40) for each in later]
    found = [*cost_report.sections([*first, *later])]
    assert [{ledger.git_commit for ledger in each.ledgers} for each in found] == [{"0123456789abcdef"}, {"b" * 40}]
