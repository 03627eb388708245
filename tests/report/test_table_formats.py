"""Leaderboards as LaTeX and CSV, and the options of `python -m bench.report`."""

import csv
import re
import sys
from pathlib import Path

import pytest
from factories.records import blocked_record, partial_record, write_all

from bench.core.errors import SettingError
from bench.report import __main__ as command
from bench.report import latex, write_tables
from bench.report.leaderboard import leaderboards
from bench.report.run_table import cells, load, runs


def seeds_of(system: str, bits: float, **fields: object) -> list:
    return [blocked_record(system, bits + 0.001 * seed, seed=seed, **fields) for seed in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of three systems of three seeds, a floor and a run that failed, with times."""
    costs = {"train_seconds": 9.0, "device": "a_cpu", "git_commit": "a" * 40}
    records = [*seeds_of("softmax", 2.0, **costs), *seeds_of("mse", 2.1, **costs), *seeds_of("unigram", 3.0)]
    records.append(partial_record(system="their_100%_head", status="oom", reason="5 & 6 < 7 #1 ~ $2 ^ {x} \\y | [z]"))
    write_all(records, tmp_path)
    return tmp_path


def environments(text: str) -> list[list[str]]:
    """Return the lines of each tabular."""
    return [each.splitlines() for each in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL)]


def test_latex_tables_have_booktabs_rules_and_one_cell_per_column(folder: Path):
    text = write_tables([folder], folder, "latex").read_text()
    tables = environments(text)
    assert len(tables) == text.count(r"\begin{table}") == text.count(r"\end{table}") == text.count(r"\label{tab:") == 4
    for first, *lines in tables:
        columns = len(re.fullmatch(r"\\begin\{tabular\}\{(lr*)\}", first)[1])
        rules = [line for line in lines if not line.endswith(r"\\")]
        assert rules[0] == r"\toprule" and rules[-2:] == [r"\bottomrule", r"\end{tabular}"]
        assert set(rules[1:-2]) == {r"\midrule"}
        for row in (line for line in lines if line.endswith(r"\\")):
            assert len(re.findall(r"(?<!\\)&", row)) == columns - 1
    assert len(set(re.findall(r"\\label\{(.*?)\}", text))) == 4


def test_latex_row_has_error_mark_interval_and_bold_lead(folder: Path):
    text = write_tables([folder], folder, "latex").read_text()
    softmax, mse = (next(line for line in text.splitlines() if line.startswith(name)) for name in ("softmax", "mse"))
    small = r"{\small $\pm$ 0.0006} {\scriptsize {[}%s{]}}"
    assert softmax.startswith(rf"softmax & \textbf{{2.007}} {small % '1.90, 2.11'} & ")
    assert mse.startswith(rf"mse & 2.107$^\dagger$ {small % '2.00, 2.21'} & ")
    assert r"\textit{unigram} (floor) & " in text
    assert r"bits per byte $\downarrow$ & " in text


def test_latex_prints_special_characters_as_they_are(folder: Path):
    text = write_tables([folder], folder, "latex").read_text()
    escaped = (
        r"$\times$ their\_100\%\_head $\times$ seed 0 oom: 5 \& 6 \textless{} 7 \#1 \textasciitilde{} \$2 "
        r"\textasciicircum{} \{x\} \textbackslash{}y \textbar{} {[}z{]} & "
    )
    assert escaped in text
    assert latex.escaped("−1.2×10¹⁵ ∞") == r"$-$1.2$\times$10$^{15}$ $\infty$"


def test_latex_has_no_character_that_pdflatex_lacks(folder: Path):
    assert write_tables([folder], folder, "latex").read_text().isascii()


def test_csv_has_a_row_per_cell_with_raw_figures(folder: Path):
    with write_tables([folder], folder, "csv").open(newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert [*rows] == ["softmax", "mse", "their_100%_head", "unigram"]
    table = load([folder])
    board = next(leaderboards(table, cells(table)))
    assert float(rows["mse"]["bits_per_byte"]) == pytest.approx(2.1 + 0.001 + 0.00625)
    assert float(rows["mse"]["bits_per_byte_p"]) == board.comparisons.by_cell["mse", "bits_per_byte"].p
    assert float(rows["mse"]["bits_per_byte_low"]) < 2.1 < float(rows["mse"]["bits_per_byte_high"])
    assert (rows["softmax"]["bits_per_byte_p"], rows["softmax"]["brier"]) == ("", "")
    assert (rows["mse"]["baseline"], rows["mse"]["seeds"], rows["mse"]["kind"]) == ("softmax", "3", "regressor")
    assert (rows["mse"]["origin"], rows["mse"]["train_seconds"]) == ("a_cpu, commit aaaaaaa", "9.0")
    assert rows["their_100%_head"]["failures"].startswith("seed 0 oom: 5 & 6")


def test_csv_leaves_out_times_of_several_commits(tmp_path: Path):
    commits = enumerate("ab")
    write_all(
        [partial_record(seed=seed, train_seconds=9.0, git_commit=commit * 40) for seed, commit in commits], tmp_path
    )
    with write_tables([tmp_path], tmp_path, "csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["origin"], row["train_seconds"]) == ("commit aaaaaaa; commit bbbbbbb", "")


def test_times_of_cells_that_shared_the_machine_are_marked_and_kept_apart(tmp_path: Path):
    write_all([partial_record(seed=seed, train_seconds=9.0, cells_at_once=seed + 1) for seed in (0, 1)], tmp_path)
    with write_tables([tmp_path], tmp_path, "csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["origin"], row["train_seconds"]) == ("; shared by 2 cells", "")
    table = load([tmp_path])
    board = next(leaderboards(table, cells(table)))
    assert "2 cells at once shared the machine: slower times than alone" in board.systems.caption


def test_markdown_of_a_baseline_names_it(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setattr(sys, "argv", ["report", str(folder), "--format", "markdown", "--baseline", "mse"])
    command.main()
    path = folder / "leaderboard.md"
    assert capsys.readouterr().out == f"tables: {path}\n"
    text = path.read_text()
    assert "### Differences to mse" in text and "† differs from mse" in text
    assert not (folder / "index.html").exists()


def test_unknown_baseline_is_one_line_with_the_nearest_name(folder: Path, capsys, monkeypatch):
    with pytest.raises(SettingError, match=r"^--baseline: no record is of sofmax; did you mean softmax\?$"):
        write_tables([folder], folder, "latex", "sofmax")
    monkeypatch.setattr(sys, "argv", ["report", str(folder), "--baseline", "xyz"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("--baseline: no record is of xyz; choose one of mse, softmax, ")


def test_tables_of_no_records_are_one_line(tmp_path: Path):
    with pytest.raises(SettingError, match=r"^folders: no records below .*; run a sweep first"):
        write_tables([tmp_path], tmp_path, "csv")


def test_latex_of_a_report_of_several_sizes_has_distinct_labels(tmp_path: Path):
    table = runs([blocked_record("softmax", 2.0, vocabulary_size=size) for size in (1000, 5000)])
    latex.write([*leaderboards(table, cells(table))], tmp_path / "tables.tex")
    labels = re.findall(r"\\label\{(.*?)\}", (tmp_path / "tables.tex").read_text())
    assert labels == ["tab:tables-1", "tab:tables-1-2", "tab:tables-2", "tab:tables-2-2"]
