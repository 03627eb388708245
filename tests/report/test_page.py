"""HTML page of a sweep: escaped, self-contained, without a script."""

import re
from pathlib import Path

from factories.reports import Tags


def test_generated_text_is_escaped(sweep_report: Path):
    html = (sweep_report / "index.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html
    assert "<b>p</b>" not in html
    assert "<img" not in html


def test_page_loads_nothing(sweep_report: Path):
    html = (sweep_report / "index.html").read_text()
    page_tags = Tags(html)
    assert not page_tags.tags & {
        "script",
        "link",
        "img",
        "image",
        "iframe",
        "object",
        "embed",
        "video",
        "audio",
    }
    names = {name for name, _ in page_tags.attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "srcset", "data", "action"}
    assert {value[:1] for name, value in page_tags.attributes if name.endswith("href")} == {"#"}
    assert {link[:1] for link in re.findall(r"url\(([^)]*)", html)} == {"#"}
    assert "@import" not in html


def test_figures_in_the_page_share_no_id(sweep_report: Path):
    ids = re.findall(r' id="([^"]*)"', (sweep_report / "index.html").read_text())
    assert len(ids) == len(set(ids)) > 100
