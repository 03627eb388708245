"""Names and texts that try to run in the reader's browser, through the whole report: page, Markdown, figures."""

import dataclasses
from pathlib import Path
from xml.etree import ElementTree

import pytest
from factories.records import sweep_records, write_all
from factories.reports import Tags

from bench.core.record import Record
from bench.report import report

pytestmark = pytest.mark.slow

EVIL = [
    "<script>alert(1)</script>",
    "\"onload='alert(2)'",
    "--><svg onload=alert(3)>",
    "]]><img src=//evil.test>",
    "{{ 7 * 191 }}{% raw %}",
    "[a](javascript:alert(4))",
    "</title></style><script>",
]


def spoilt(record: Record, evil: str) -> Record:
    """Everything that a user, a model or a library may have written."""
    texts = [{"prompt": each, "greedy": each, "sampled": each} for each in EVIL]
    named = {"experiment": evil, "backbone": evil, "head": evil, "device": evil, "corpus_sha256": evil}
    named |= {"corpus": "".join(EVIL), "system": f"{record.system} {evil}"}
    return dataclasses.replace(record, generations=texts, versions={evil: evil}, **named)


def small() -> list[Record]:
    """The sweep's first seed at its first two sizes."""
    records = [record for record in sweep_records() if record.seed == sweep_records()[0].seed]
    sizes = sorted({record.vocabulary_size for record in records})[:2]
    return [record for record in records if record.vocabulary_size in sizes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A sweep of which every name is hostile, and cells that failed for a hostile reason."""
    place, good = tmp_path_factory.mktemp("hostile"), small()
    rows = [spoilt(record, EVIL[i % len(EVIL)]) for i, record in enumerate(good)]
    lost = [dataclasses.replace(good[0], status="failed", reason=evil, bits_per_byte=None) for evil in EVIL]
    write_all([*rows, *(spoilt(record, evil) for record, evil in zip(lost, EVIL, strict=True))], place)
    report([place], place)
    return place


def test_the_page_holds_no_tag_and_no_attribute_that_is_not_its_own(folder, tmp_path):
    write_all(small(), tmp_path)
    report([tmp_path], tmp_path)
    own, page = (Tags((each / "index.html").read_text()) for each in (tmp_path, folder))
    assert page.tags <= own.tags | {"svg", "g", "path", "use", "defs"}
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "srcset", "action"}
    text = (folder / "index.html").read_text()
    assert "1337" not in text and "7 * 191" in text  # a template inside a text is a text
    assert "javascript:" not in {value for name, value in page.attributes if name == "href"}


def test_the_leaderboard_shows_them_as_they_stand(folder):
    text = (folder / "leaderboard.md").read_text()
    assert "<script" not in text and "<img" not in text and "<svg" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "[a](" not in text and r"\[a\](javascript:alert(4))" in text


def test_figures_are_sound_xml_without_a_script_and_lie_in_their_folder(folder):
    figures = sorted((folder / "figures").glob("*.svg"))
    assert len(figures) >= 4
    for path in figures:
        for element in ElementTree.parse(path).iter():
            assert element.tag.rpartition("}")[2] not in ("script", "img", "image", "foreignObject")
            assert not [name for name in element.attrib if name.startswith("on")]
    assert not [path for path in folder.rglob("*") if path.suffix == ".svg" and path.parent != folder / "figures"]
