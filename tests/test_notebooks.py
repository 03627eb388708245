"""Every notebook runs from top to bottom on synthetic records, and is stored with its outputs."""

import re
from pathlib import Path

import nbformat
import pytest
from factories.records import blocked_record, sweep_records, write_all
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WIDEST = 900  # px: of a figure that GitHub does not shrink


def ladder() -> list:
    """Two heads of the objective ladder, over BERT's and over random vectors."""
    return [
        blocked_record(
            system,
            bits,
            seed=seed,
            config={
                "system": {"kind": "regressor", "head": {"targets": {"name": targets, "dimension": 384}}},
                "targets": {"name": targets},
            },
        )
        for seed in (0, 1)
        for system, targets, bits in (
            ("infonce", "bert", 2.0), ("infonce", "random", 2.1), ("frozen_softmax", "bert", 2.05),
        )
    ]  # fmt: skip


def scaling() -> list:
    """Two systems at two numbers of training words."""
    return [
        blocked_record(system, bits, seed=seed, config={"system": {"kind": kind}, "budget": {"words": words}})
        for seed in (0, 1)
        for words in (1000, 2000)
        for system, kind, bits in (("sampled_softmax", "classifier", 2.0), ("cosine", "regressor", 2.4))
    ]


def outputs_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for output in outputs_of(notebook) if "image/png" in output.get("data", {})]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_says_which_records_are_missing(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("vocab_sweep", "objective_ladder", "data_scaling"):
        (tmp_path / name).mkdir()
    write_all([record for record in sweep_records() if record.vocabulary_size < 20000], tmp_path / "vocab_sweep")
    write_all(ladder(), tmp_path / "objective_ladder")
    write_all(scaling(), tmp_path / "data_scaling")
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}}).execute()
    printed = "".join(output.text for output in outputs_of(notebook) if output.output_type == "stream")
    lines = [line for line in printed.splitlines() if not re.search(r"nothing in .* has", line)]  # of pairs left out
    missing = [
        f"No records of {name}: `make reference` lists the command that makes them."
        for name in ("equal_time", "leak", "known_truth")
    ]
    undiagnosed = "run `python -m bench.diagnose` on the records of vocab_sweep."
    assert lines == [
        "No costs: run `python -m bench +experiment=cost_sweep`.",
        missing[0],
        f"No diagnosis: {undiagnosed}",
        missing[1],
        f"No measured texts: {undiagnosed}",
        missing[2],
    ]
    assert len(pictures_of(notebook)) == 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_with_outputs_of_a_run_from_top_to_bottom(path: Path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert len(pictures_of(notebook)) >= 3
    assert not [output for output in outputs_of(notebook) if output.output_type in ("error", "stderr")]
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_questions_are_headings_and_figures_fit_the_width_of_github(path: Path):
    notebook = nbformat.read(path, as_version=4)
    headings = re.findall(r"^## (.*)", "\n".join(cell.source for cell in notebook.cells), re.MULTILINE)
    assert len(headings) >= 5 and all(heading.endswith("?") for heading in headings)
    widths = [output.metadata.get("image/png", {}).get("width") for output in pictures_of(notebook)]
    assert [width for width in widths if width is not None and width > WIDEST] == []
