"""Every notebook runs from top to bottom on synthetic records, and is stored with its outputs."""

from pathlib import Path

import nbformat
import pytest
from factories.records import sweep_records, write_all
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    records = [record for record in sweep_records() if record.vocabulary_size == 1000]
    write_all(records, tmp_path)
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert printed == f"{len(records)} records, 0 of which did not finish, in {len(records) // 2} cells\n"
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_with_outputs_of_a_run_from_top_to_bottom(path: Path):
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 5
    assert not [output for output in outputs if output.output_type == "error"]
    assert path.stat().st_size < 1_000_000
