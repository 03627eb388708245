"""Figures of a text are computed from the records that they name, and printed again by `--fill`."""

import sys
from pathlib import Path

import pytest
from factories.ledgers import head_ledger, ledger_row
from factories.records import blocked_record, write_all

from bench.core.errors import SettingError
from bench.core.record import Record
from bench.report import run_table, significance
from bench.report.__main__ import main
from bench.report.figure_links import figures
from bench.report.glossary import every_column
from bench.report.paired_test import holm
from bench.report.published import fill


def config(kind: str, level: str | None = None, size: int = 1000) -> dict:
    """Settings of a run; `level` of the targets that a regressor's head reads."""
    head = {"targets": {"name": "bert", "level": level}} if level else {}
    return {
        "system": {"name": "any", "kind": kind, "head": head},
        "targets": {"name": "bert", "level": level or "type"},
        "vocabulary": {"size": size},
        "inputs": "learned",
    }


def seeds_of(system: str, bits: float, level: str | None = None, noise: float = 0.0, seeds: int = 3) -> list[Record]:
    settings = config("regressor" if level else "classifier", level)
    return [
        blocked_record(system, bits + 0.01 * seed, noise, seed=seed, config=settings, parameters=1_500_000 + seed)
        for seed in range(seeds)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a text, with records in `runs` and a cost ledger in `costs`."""
    diagnosis = {"lost_to_fit": 0.125, "read_outs": [{"read_out": "probe", "nats": 5.5}]}
    token = blocked_record("cosine", 2.8, config=config("regressor", "token"), diagnosis=diagnosis)
    records = [*seeds_of("softmax", 2.0), *seeds_of("nce", 2.0, noise=0.05), *seeds_of("cosine", 2.4, "type", 0.01)]
    (tmp_path / "runs").mkdir()
    write_all([*records, token], tmp_path / "runs")
    ledgers = [head_ledger(size, [ledger_row("cosine", size), ledger_row("softmax", size)]) for size in (1000, 10_000)]
    for each in ledgers:
        each.write(tmp_path / "costs" / f"v{each.vocabulary_size}-0123abcd")
    return tmp_path


def filled(folder: Path, text: str) -> str:
    """Return a text after its figures are filled, which all succeed."""
    path = folder / "text.md"
    path.write_text(text)
    assert fill(path)[1] == []
    return path.read_text()


def printed(folder: Path, query: str, old: str = "?", where: str = "runs") -> str:
    """Return the print of one figure."""
    return filled(folder, f'[{old}]({where} "{query}") one seed').partition("]")[0].removeprefix("[")


def problem(folder: Path, query: str, old: str = "?", where: str = "runs") -> str:
    """Return the reason why one figure cannot be filled; its text stays."""
    path = folder / "text.md"
    path.write_text(before := f'[{old}]({where} "{query}")')
    changes, (line,) = fill(path)
    assert changes == [] and path.read_text() == before
    return line


def cells(folder: Path) -> dict[str, object]:
    return {cell.label: cell for _, cell in run_table.cells(run_table.load([folder / "runs"])).iterrows()}


MEAN = 2.01 + 0.00625  # bits per byte of softmax: mean over three seeds, and mean difficulty of the documents


@pytest.mark.parametrize(
    ("query", "old", "expected"),
    [
        ("bits_per_byte of system=softmax", "?", f"{MEAN:.3f}"),
        ("bits_per_byte of system=softmax", "9.99", f"{MEAN:.2f}"),
        ("bits_per_byte of system=softmax vocabulary.size=1e3", "about 1", "about 2"),
        ("accuracy_at_1 of system=softmax", "0.0 %", "33.5 %"),
        ("parameters of system=softmax", "?", "1.50"),
        ("bits_per_byte of system=cosine targets.level=type minus system=softmax", "?", "0.4000"),
        ("bits_per_byte of system=softmax minus system=cosine targets.level=type", "+0.00", "−0.40"),
        ("bits_per_byte of system=cosine targets.level=type over system=softmax where seed=0", "0.00", "1.20"),
        ("100*diagnosis.lost_to_fit of system=cosine targets.level=token", "0.0", "12.5"),
        ("diagnosis.read_outs.probe.nats of system=cosine targets.level=token", "0.0", "5.5"),
        ("best bits_per_byte where vocabulary.size=1000", "?", "nce or softmax"),
        ("best bits_per_byte where kind=regressor", "?", "cosine, types"),
    ],
)
def test_figure_is_computed_and_keeps_its_decimals_and_sign(folder, query, old, expected):
    assert printed(folder, query, old) == expected


def test_interval_is_that_of_the_tables(folder):
    column = next(each for each in every_column() if each.name == "bits_per_byte")
    low, high = significance.interval_ends(cells(folder)["softmax"], column)
    assert (
        printed(folder, "interval of bits_per_byte of system=softmax", "0.000 to 0.000") == f"{low:.3f} to {high:.3f}"
    )


def test_interval_of_a_difference_is_paired(folder):
    test = significance.difference(cells(folder)["cosine, types"], cells(folder)["softmax"], "bits_per_byte")
    query = "interval of bits_per_byte of system=cosine targets.level=type minus system=softmax"
    assert printed(folder, query, "0.0000 to 0.0000") == f"{test.low:.4f} to {test.high:.4f}"


def test_p_values_of_a_text_are_corrected_for_their_number(folder):
    pairs = [("cosine targets.level=type", "cosine, types"), ("nce", "nce")]
    all_cells = cells(folder)
    tests = [significance.difference(all_cells[label], all_cells["softmax"], "bits_per_byte").p for _, label in pairs]
    assert tests[0] < 0.001 < tests[1]
    links = [f'[?](runs "p of bits_per_byte of system={system} minus system=softmax")' for system, _ in pairs]
    text = filled(folder, "\n".join([*links, links[0]]))  # a repeated comparison counts once
    assert text.count("[p < .001]") == 2
    assert f"[p = {holm(tests)[1]:.3f}]".replace("0.", ".") in text


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


def test_ledger_row_must_be_the_only_one(folder):
    assert printed(folder, "step_ms of contender=cosine vocabulary_size=1000", "?", "costs") == "2.00"
    line = problem(folder, "step_ms of contender=cosine", where="costs")
    assert line.endswith("contender=cosine: matches 2 rows of cost ledgers; name vocabulary_size too")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("bits_per_byte of system=cosine", "matches several variants, which are not averaged: targets.level is token"),
        ("bits_per_byte of system=softmx", "system=softmx: nothing in"),
        ("bits_per_byte of systm=softmax", "did you mean system?"),
        ("bits_per_bite of system=softmax", "is no figure of a record"),
        ("brier of system=softmax", "was not measured for softmax"),
        ("diagnosis.read_outs of system=cosine targets.level=token", "holds several numbers"),
        ("diagnosis.lost of system=cosine targets.level=token", "has nothing by the name lost there"),
        ("p of bits_per_byte of system=softmax", "has no p for one system"),
        ("interval of bits_per_byte of system=nce over system=softmax", "no interval: "),
        ("bits_per_byte of system=nce minus system=nce", "both sides are nce at V = 1,000"),
        ("bits_per_byte of system=cosine targets.level=token", "rests on one seed; say “one seed”"),
        ("best parameters where corpus=d", "corpus=d: nothing in"),
        ("best calibration_scale where corpus=c", "has no better direction"),
    ],
)
def test_figure_without_an_answer_is_one_line_with_its_place(folder, query, reason):
    line = problem(folder, query)
    assert line.startswith(f"{folder / 'text.md'}:1: {query}") and reason in line


def test_system_is_named_as_in_tables_or_as_typed(folder):
    settings = config("classifier") | {"system": {"name": "gpt2", "kind": "classifier"}}
    write_all([blocked_record("gpt2-scratch", 2.0, config=settings)], folder / "runs")
    assert printed(folder, "bits_per_byte of system=gpt2") == printed(folder, "bits_per_byte of system=gpt2-scratch")


def test_device_of_other_threads_is_no_setting_that_differs(folder):
    for level, threads in (("type", 1), ("token", 2)):
        record = blocked_record("vmf", 2.0, config=config("regressor", level), device=f"cpu, {threads} threads")
        write_all([record], folder / "runs")
    line = problem(folder, "bits_per_byte of system=vmf")
    assert line.endswith("which are not averaged: targets.level is token and type; name one")


def test_times_of_two_origins_are_not_averaged(folder):
    for seed, at_once in enumerate((1, 2, 2)):
        timed = {"train_seconds": 10.0 * at_once, "device": f"cpu, {3 - at_once} threads", "cells_at_once": at_once}
        write_all([blocked_record("gpt2", 2.0, seed=seed, config=config("classifier"), **timed)], folder / "runs")
    assert printed(folder, "bits_per_byte of system=gpt2", "0.00") == f"{2.00625:.2f}"
    assert printed(folder, "train_seconds of system=gpt2 cells_at_once=1", "0.0") == "10.0"
    assert "name device= or cells_at_once=" in problem(folder, "train_seconds of system=gpt2")


def test_missing_records_are_one_line(folder):
    assert "holds no records" in problem(folder, "bits_per_byte of system=softmax", where="elsewhere/leaderboard.md")


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
    passage = f'It is {figure}. ![p](a.svg) [w](https://a.org)\n\n[s]: ../runs "bits_per_byte of system=softmax"\n'
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
    assert said.out == ("text.md:1: 1.0 -> 2.0 (bits_per_byte of system=softmax)\ntext.md: 1 figures changed, 1 left\n")
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
