"""Report of records whose names and texts try to run in the reader's browser: page, Markdown, figures."""

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


def hostile_record(record: Record, evil: str) -> Record:
    """Replace every text that a user, a model or a library may have written."""
    texts = [{"prompt": each, "greedy": each, "sampled": each} for each in EVIL]
    named = {"experiment": evil, "backbone": evil, "head": evil, "device": evil, "corpus_sha256": evil}
    named |= {"corpus": "".join(EVIL), "system": f"{record.system} {evil}"}
    return dataclasses.replace(record, generations=texts, versions={evil: evil}, **named)


def small_sweep() -> list[Record]:
    """Return the sweep's first seed at its first two sizes."""
    records = [record for record in sweep_records() if record.seed == sweep_records()[0].seed]
    sizes = sorted({record.vocabulary_size for record in records})[:2]
    return [record for record in records if record.vocabulary_size in sizes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a sweep in which every name is hostile, with cells that failed for a hostile reason."""
    place, good = tmp_path_factory.mktemp("hostile"), small_sweep()
    rows = [hostile_record(record, EVIL[i % len(EVIL)]) for i, record in enumerate(good)]
    lost = [dataclasses.replace(good[0], status="failed", reason=evil, bits_per_byte=None) for evil in EVIL]
    write_all([*rows, *(hostile_record(record, evil) for record, evil in zip(lost, EVIL, strict=True))], place)
    report([place], place)
    return place


def test_page_holds_no_tag_and_no_attribute_from_records(folder: Path, tmp_path: Path):
    write_all(small_sweep(), tmp_path)
    report([tmp_path], tmp_path)
    own, page = (Tags((each / "index.html").read_text()) for each in (tmp_path, folder))
    assert page.tags <= own.tags | {"svg", "g", "path", "use", "defs"}
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "srcset", "action"}
    text = (folder / "index.html").read_text()
    assert "1337" not in text and "7 * 191" in text  # a template inside a text is not evaluated
    assert "javascript:" not in {value for name, value in page.attributes if name == "href"}


def test_leaderboard_shows_hostile_texts_literally(folder: Path):
    text = (folder / "leaderboard.md").read_text()
    assert "<script" not in text and "<img" not in text and "<svg" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "[a](" not in text and r"\[a\](javascript:alert(4))" in text


def test_figures_are_valid_xml_without_a_script_in_the_folder_of_figures(folder: Path):
    figures = sorted((folder / "figures").glob("*.svg"))
    assert len(figures) >= 4
    for path in figures:
        for element in ElementTree.parse(path).iter():
            assert element.tag.rpartition("}")[2] not in ("script", "img", "image", "foreignObject")
            assert not [name for name in element.attrib if name.startswith("on")]
    assert not [path for path in folder.rglob("*") if path.suffix == ".svg" and path.parent != folder / "figures"]
