"""Tables as Markdown."""

from pathlib import Path

from bench.evaluation.metric_definition import Column
from bench.report.markdown import definition, plain, table_lines, write_document
from bench.report.table import Part, Table, TableRow, Value

BITS = Column("bits", "bits", "lower", "bits", "Σ bits", "Cost.", "Shannon 1951")
GROWTH = Column("growth", "γ", "neither", "power", "γ of the law", "Speed.")


def table(is_folded: bool = False, counts_seeds: bool = False) -> Table:
    """Return a table of a leading row, a floor, and a row that failed."""
    rows = [
        TableRow("softmax", "", {"bits": Value("2.00 ± 0.01", "[1.9, 2.1]", leads=True), "growth": Value()}),
        TableRow("unigram", "floor", {"bits": Value("3.00", differs=True), "growth": Value("1", note="flat")}),
        TableRow("× mse", "", {"bits": Value(), "growth": Value()}, 0, ["× seed 0 oom: a | b"]),
    ]
    part = Part([BITS, GROWTH], "More", is_folded)
    return Table("A <table>", "", rows, [part], notes=["softmax: a_b=1"], counts_seeds=counts_seeds)


def test_table_marks_leading_value_kind_and_failure():
    assert table_lines(table()) == [
        "### A &lt;table&gt;",
        "",
        "| system | bits ↓ | γ |",
        "| :-- | --: | --: |",
        "| softmax | **2.00 ± 0.01 [1.9, 2.1]** | – |",
        "| *unigram* (floor) | 3.00† | 1 flat |",
        r"| × mse × seed 0 oom: a \| b | – | – |",
        "",
        "- softmax: a_b=1",
        "",
    ]


def test_column_of_seeds_holds_the_failures_when_seeds_are_counted():
    *_, failed, _, _, _ = table_lines(table(counts_seeds=True))
    assert failed == r"| × mse | – | – | 0 × seed 0 oom: a \| b |"


def test_folded_part_opens_on_a_click():
    lines = table_lines(table(is_folded=True))
    assert lines[2] == "<details><summary>More</summary>"
    assert lines[-4:-2] == ["</details>", ""]


def test_definition_names_the_better_direction_when_there_is_one():
    assert definition(BITS) == "- **bits** (bits; lower is better): Σ bits. Cost. Source: Shannon 1951."
    assert definition(GROWTH) == "- **γ** (power): γ of the law. Speed."


def test_text_is_shown_literally():
    assert plain("<b> a|b\n*c* `d` [e](f) \\g") == r"&lt;b&gt; a\|b \*c\* \`d\` \[e\](f) \\g"


def test_document_ends_with_definitions_when_columns_are_given(tmp_path: Path):
    write_document(tmp_path / "with.md", "Title", ["line"], [BITS])
    write_document(tmp_path / "without.md", "Title", ["line"])
    assert (tmp_path / "with.md").read_text().startswith("# Title\n\nline\n## What each number means\n\n- **bits**")
    assert (tmp_path / "without.md").read_text() == "# Title\n\nline\n"
