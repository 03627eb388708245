"""Figures of a text are found, and printed again from the records by `--fill`."""

import sys
from pathlib import Path

import pytest
from factories.figure_texts import MEAN, filled, write_records

from bench.core.errors import SettingError
from bench.report.__main__ import main
from bench.report.figure_links import figures
from bench.report.published import fill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a text, with records in `runs` and cost ledgers in `costs`."""
    write_records(tmp_path)
    return tmp_path


def test_table_reads_figures_from_its_heading_and_settings_from_its_rows(folder):
    lines = [
        '| system | [bits](runs/a.md "bits_per_byte") | [more](runs "bits_per_byte minus system=softmax")'
        ' | [step](costs "step_ms of contender={system} vocabulary_size=10000") | note |',
        "| :-- | --: | --: | --: | :-- |",
        '| [full softmax](runs "system=softmax") | 9.999 | – | **9** | 7 |',
        '| [cosine](runs "system=cosine targets.level=type") | ? | +0.0 | 0.0 ms | |',
        '| [NCE](runs "system=nce") | ? | +0.10 | – | |',
        '| no query | 1.0 | 2.0 | [3](costs "step_ms of contender=softmax vocabulary_size=1000") | |',
    ]
    rows = [line.split(" | ")[1:4] for line in filled(folder, "\n".join(lines) + "\n").splitlines()[2:]]
    assert rows[0] == [f"{MEAN:.3f}", "–", "**11**"]
    assert rows[1] == [f"{MEAN + 0.4:.3f}", "+0.4", "2.0 ms"]
    assert rows[2] == [f"{MEAN:.3f}", "0.00", "–"]
    assert rows[3][:2] == ["1.0", "2.0"] and rows[3][2].startswith("[2](")


def test_table_with_a_cell_too_many_is_refused(folder):
    path = folder / "text.md"
    path.write_text(
        '| system | [bits](runs "bits_per_byte") |\n| :-- | --: |\n| [s](runs "system=softmax") | 1 | 2 |\n'
    )
    with pytest.raises(SettingError, match=r"has 3 cells in a table of 2 columns"):
        fill(path)


def test_links_may_name_definitions(folder):
    lines = [
        "[0.00][softmax], [1][none] and one seed: [2][cosine]",
        "",
        "| system | [bits][bits] | note |",
        "| :-- | --: | --: |",
        "| [NCE][nce] | 1.000 | [7][softmax] |",
        "",
        '[softmax]: runs/a.md "bits_per_byte of system=softmax"',
        '[cosine]: runs "bits_per_byte of system=cosine targets.level=token"',
        '[bits]: runs/a.md "bits_per_byte"',
        '[nce]: runs/a.md "system=nce"',
        "[none]: a.md",
    ]
    text = filled(folder, "\n".join(lines)).splitlines()
    assert text[0] == f"[{MEAN:.2f}][softmax], [1][none] and one seed: [3][cosine]"
    assert text[4] == f"| [NCE][nce] | {MEAN:.3f} | [{MEAN:.0f}][softmax] |"
    assert text[5:] == lines[5:]


@pytest.mark.parametrize("query", ["bits per byte", "bits_per_byte of softmax", "bits_per_byte of system='x"])
def test_title_that_is_no_query_is_refused(folder, query):
    path = folder / "text.md"
    path.write_text(f'[1]({folder} "{query}")')
    with pytest.raises(SettingError, match=r"query|setting|cannot be read"):
        figures(path, path.read_text())


def test_number_of_seeds_is_said_in_the_same_paragraph(folder):
    figure = '[2.806](runs "bits_per_byte of system=cosine targets.level=token")'
    path = folder / "text.md"
    for text, problems in ((f"{figure} (one\nseed)", 0), (f"{figure}\n\none seed", 1), (f"- {figure}\n- one seed", 1)):
        path.write_text(text)
        assert len(fill(path)[1]) == problems


def test_comments_and_pictures_and_plain_links_are_no_figures(folder):
    text = '<!-- [1](runs "bits_per_byte of system=softmax") -->\n![x](runs "a title") [1](runs) [2](a.md)\n'
    assert filled(folder, text) == text


def test_passage_of_another_text_is_copied_with_its_links(folder):
    (folder / "below").mkdir()
    figure = '[2.016](../runs/a.md "bits_per_byte of system=softmax") or [2.02][s]'
    passage = f'{figure}: more. ![p](a.svg) [w](https://a.org)\n\n[s]: ../runs "bits_per_byte of system=softmax"\n'
    source = f"<!-- begin answer -->\n{passage}<!-- end -->\n"
    (folder / "below" / "source.md").write_text(source)
    text = filled(folder, "# Title\n<!-- copy below/source.md answer -->\nold\n<!-- end -->\nrest\n")
    copied = passage.replace("../runs", "runs").replace("a.svg", "below/a.svg")
    assert text == f"# Title\n<!-- copy below/source.md answer -->\n{copied}<!-- end -->\nrest\n"


def test_command_prints_changes_and_ends_with_the_status_of_bad_input_if_figures_are_left(folder, monkeypatch, capsys):
    good = '[1.0](runs "bits_per_byte of system=softmax")'
    (folder / "text.md").write_text(f'{good} [2](runs "bits_per_byte of system=other")')
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["bench.report", "--fill", "text.md"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == (
        "text.md:1: 1.0 -> 2.0 (bits_per_byte of system=softmax)\ntext.md: 1 figures changed, 1 not computed\n"
    )
    assert said.err.startswith("text.md:1: bits_per_byte of system=other: system=other: nothing in")
    (folder / "text.md").write_text(good)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_command_needs_folders_or_texts(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench.report"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "give folders of records, or --fill with texts" in capsys.readouterr().err
