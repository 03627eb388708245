"""The examples of docs/extending.md and README.md work in a copy of the project without another edit."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.record import Record, read_records

ROOT = Path(__file__).resolve().parents[2]
PATH = r"(?:bench|conf)/[\w/]+\.(?:py|yaml)"
REGISTRY = "bench/evaluation/metric_registry.py"  # an example adds an entry to this file, all others are new files
HEADS = ("mixture_of_softmaxes", "log_cosh", "hinge")
SMALL = [
    "budget.words=4000", "batch.streams=4", "backbone.trunk.hidden_size=32", "targets.dimension=32", "logger=none",
    "evaluation.validation_words=500", "evaluation.test_words=500", "evaluation.calibration_words=200",
    "generation.words=4",
]  # fmt: skip


def examples() -> dict[str, str]:
    """Return the content of every example by its path: the path is the block's first line, or the line before."""
    guide, readme = (ROOT / name for name in ("docs/extending.md", "README.md"))
    shown = re.findall(
        rf"^```(?:python|yaml)\n# ({PATH})\n(.*?)^```", guide.read_text(), flags=re.DOTALL | re.MULTILINE
    )
    shown += re.findall(rf"`({PATH})`\n\n```\w+\n(.*?)```", readme.read_text(), flags=re.DOTALL)
    return dict(shown)


def shown_command(start: str) -> list[str]:
    """Return the arguments of the command in docs/extending.md that starts with these words."""
    [commands] = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/extending.md").read_text(), flags=re.DOTALL)
    [line] = [line for line in commands.replace("\\\n", "").splitlines() if line.startswith(start)]
    return shlex.split(line)[1:]


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Python in the copy, which comes first on its path; a warning in our code is an error."""
    command = [sys.executable, "-W", "error:::bench", *arguments]
    environment = {"PYTHONPATH": str(project), "PATH": "/usr/bin:/bin", "HOME": str(project), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with the examples added."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("bench", "conf", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for path, content in examples().items():
        if path == REGISTRY:
            registry = (copy / path).read_text()
            content, inserted = re.subn(r"^ENTRIES = \(.*\n", rf"\g<0>{content}", registry, flags=re.MULTILINE)
            assert inserted == 1
        else:
            assert not (copy / path).exists()
        (copy / path).write_text(content)
    return copy


@pytest.fixture(scope="module")
def sweep(project) -> subprocess.CompletedProcess:
    """The documented sweep, in small: each new part is trained, evaluated and reported in one process."""
    return run(project, *shown_command("python -m bench "), *SMALL)


def test_every_kind_of_extension_has_an_example_of_its_own_files():
    folders = sorted(str(Path(path).parent) for path in examples() if "hinge" not in path)
    assert folders == [
        "bench/data/sources", "bench/evaluation", "bench/heads", "bench/heads", "bench/models/backbones",
        "bench/targets", "conf/backbone", "conf/corpus", "conf/system", "conf/system", "conf/targets",
    ]  # fmt: skip


def test_new_heads_pass_the_contract_and_the_configuration_tests(project):
    files = ["tests/heads/test_head_contract.py", "tests/test_configs.py"]
    chosen = " or ".join([*HEADS, "names_targets", "truth_competes", "-smoke"])
    outcome = run(project, "-m", "pytest", "-p", "no:cacheprovider", *files, "-k", chosen)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_sweep_trains_every_new_part(project, sweep):
    assert sweep.returncode == 0, sweep.stdout + sweep.stderr
    records = {record.system: record for _, record in read_records([project / "results" / "smoke"])}
    assert set(records) == {"mixture_of_softmaxes", "log_cosh"}
    for record in records.values():
        assert (record.status, record.corpus, record.backbone) == ("ok", "arithmetic", "running_mean")
        assert record.flops_per_position > record.head_flops_per_position > 0
    assert records["mixture_of_softmaxes"].is_density and not records["log_cosh"].is_density
    assert records["log_cosh"].config["targets"]["name"] == "letter_trigrams"
    assert best(records["mixture_of_softmaxes"])


def best(record: Record) -> bool:
    """True if the model predicts better than chance: of four words in six, "plus", "is" and "." are certain."""
    return record.accuracy_at_1 > 0.4


def test_report_shows_the_new_systems_and_the_new_metric(project, sweep):
    assert sweep.returncode == 0, sweep.stdout + sweep.stderr
    leaderboard = (project / "results" / "smoke" / "leaderboard.md").read_text()
    for text in ("mixture_of_softmaxes", "log_cosh", "< 1 bit %"):
        assert text in leaderboard
