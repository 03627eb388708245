"""HTML page of a sweep: escaped, self-contained, with scripts of its own alone."""

import base64
import hashlib
import re
from pathlib import Path

from factories.records import partial_record
from factories.reports import Tags, written_report

from bench.report import leaderboard, page, page_script, run_table

SCRIPT = re.compile(r'<script type="module">(.*?)</script>', re.DOTALL)


def without_scripts(html: str) -> str:
    """Remove every script, whose text is that of other libraries."""
    return SCRIPT.sub("", html)


def test_generated_text_is_escaped(sweep_report: Path):
    html = (sweep_report / "index.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>" not in without_scripts(html)
    assert "<b>p</b>" not in html
    assert "<img" not in without_scripts(html)


def test_page_loads_nothing(sweep_report: Path):
    html = (sweep_report / "index.html").read_text()
    page_tags = Tags(html)
    assert not page_tags.tags & {"link", "img", "image", "iframe", "object", "embed", "video", "audio"}
    names = {name for name, _ in page_tags.attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "srcset", "data", "action"}
    assert {value[:1] for name, value in page_tags.attributes if name.endswith("href")} == {"#"}
    assert {link[:1] for link in re.findall(r"url\(([^)]*)", without_scripts(html))} == {"#"}
    assert "@import" not in without_scripts(html)


def test_policy_allows_the_scripts_of_the_page_and_no_other(sweep_report: Path):
    html = (sweep_report / "index.html").read_text()
    texts = SCRIPT.findall(html)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src " + " ".join(f"'sha256-{d}'" for d in digests)
    assert len(texts) == 2 and f'content="{policy}"' in html
    assert re.findall("<script[^>]*>", without_scripts(html)) == ['<script type="application/json">']


def test_library_for_figures_is_left_out_without_an_interactive_figure(tmp_path: Path):
    _, html = written_report([partial_record(system="unigram", bits_per_byte=3.0)], tmp_path)
    assert len(SCRIPT.findall(html)) == 1 and "vegaEmbed" not in html


def test_figures_in_the_page_share_no_id(sweep_report: Path):
    ids = re.findall(r' id="([^"]*)"', without_scripts((sweep_report / "index.html").read_text()))
    assert len(ids) == len(set(ids)) > 100


def test_page_without_the_packages_of_its_scripts_shows_all_as_text_and_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(page_script.importlib.util, "find_spec", lambda name: None)
    records = [partial_record(system=name, bits_per_byte=2.0, train_seconds=1.0) for name in ("softmax", "cosine")]
    runs = run_table.runs(records)
    cells = run_table.cells(runs)
    drawings = {(run.corpus, run.budget): {"quality_vs_cost": "<svg></svg>"} for run in runs.itertuples()}
    page.write(runs, cells, [*leaderboard.leaderboards(runs, cells)], drawings, tmp_path / "index.html")
    html = (tmp_path / "index.html").read_text()
    assert "<script" not in html and "<noscript" not in html
    assert 'aria-label="quality vs cost"' in html
    assert ".answer[hidden], .without-script { display: block; }" in html
    assert "without itables and vl-convert-python it has no scripts; pip install them" in capsys.readouterr().out
