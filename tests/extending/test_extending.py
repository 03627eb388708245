"""Examples of docs/extending.md and README.md work in a copy of the project without a change of another file."""

import json
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
REGISTRY = "bench/evaluation/metrics.py"  # an example adds an entry to this file; all others are new files
SHOWN_HEADS = {"mixture_of_softmaxes", "log_cosh", "hinge"}
HEADS = SHOWN_HEADS | {"distance"}
TESTS = ["tests/heads/test_head_contract.py", "tests/test_configs.py"]
CONFIGURATION_TESTS = ("names_targets", "kind_is_regressor", "kind_tells", "contender", "truth_competes")
BOTH = """
import json, sys, pytest
tests, sweep = map(json.loads, sys.argv[1:])
pytest.main(tests)
from bench.cli import main
sys.argv = ["bench", *sweep]
main()
"""
SMALL = [
    "budget.words=6000", "batch.streams=4", "batch.steps=10", "optimizer.lr=2e-2", "logger=none", "generation.words=3",
    "backbone.trunk.hidden_size=32", "backbone.trunk.positions=32", "targets.dimension=32",
    "corpus.source.documents=20", "evaluation.validation_words=200", "evaluation.test_words=400",
    "evaluation.calibration_words=200",
]  # fmt: skip

UNCOUNTED = {  # a head whose loss uses an op without a FLOP formula
    "bench/heads/distance.py": '''
"""Score a word by the negative distance of the hidden state to its centre."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.vocabulary import Vocabulary
from bench.heads import Head


class DistanceHead(Head):
    is_density = False

    def __init__(self, *, hidden_size: int, vocabulary: Vocabulary):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary)
        self.centres = nn.Parameter(torch.randn(len(vocabulary), hidden_size))

    def loss(self, hidden: Tensor, words: Tensor) -> Tensor:
        return F.cross_entropy(self.scores(hidden), words)

    def scores(self, hidden: Tensor) -> Tensor:
        return -torch.cdist(hidden, self.centres)
''',
    "conf/system/distance.yaml": """
name: distance
kind: classifier
lr: 1e-2
head:
  _target_: bench.heads.distance.DistanceHead
""",
}


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


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with the examples and the uncounted head added."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("bench", "conf", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for path, content in (examples() | UNCOUNTED).items():
        if path == REGISTRY:
            registry = (copy / path).read_text()
            content, inserted = re.subn(
                r"(^ENTRIES = \(.*?)(^\))", lambda found, entry=content: found[1] + entry + found[2], registry,
                count=1, flags=re.DOTALL | re.MULTILINE,
            )  # fmt: skip
            assert inserted == 1
        else:
            assert not (copy / path).exists()
        (copy / path).write_text(content)
    return copy


@pytest.fixture(scope="module")
def process(project) -> subprocess.CompletedProcess:
    """The contract and configuration tests, then the documented sweep in small over all new heads and a floor.

    One process runs both, since most of its time is imports. Its exit status is that of the sweep. The copy comes first
    on the path, and a warning in our code is an error.
    """
    tests = ["-p", "no:cacheprovider", *TESTS, "-k", " or ".join([*sorted(HEADS), *CONFIGURATION_TESTS])]
    sweep = [each for each in shown_command("python -m bench ")[2:] if not each.startswith("system=")]
    sweep += [f"system={','.join([*sorted(HEADS), 'unigram'])}", *SMALL]
    environment = {"PYTHONPATH": str(project), "PATH": "/usr/bin:/bin", "HOME": str(project), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error:::bench", "-c", BOTH, json.dumps(tests), json.dumps(sweep)]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def records(project, process) -> dict[str, Record]:
    """Record of each system of the sweep."""
    assert process.returncode == 0, process.stdout + process.stderr
    return {record.system: record for _, record in read_records([project / "results" / "smoke"])}


def test_every_kind_of_extension_has_an_example_of_its_own_files():
    folders = sorted(str(Path(path).parent) for path in examples() if "hinge" not in path)
    assert folders == [
        "bench/data/sources", "bench/evaluation", "bench/heads", "bench/heads", "bench/models/backbones",
        "bench/targets", "conf/backbone", "conf/corpus", "conf/system", "conf/system", "conf/targets",
    ]  # fmt: skip
    assert {"bench/heads/hinge.py", "conf/system/hinge.yaml"} < examples().keys()


def test_documented_commands_name_the_heads_of_the_page():
    documented = SHOWN_HEADS - {"hinge"}
    [systems] = [each for each in shown_command("python -m bench ") if each.startswith("system=")]
    assert set(systems.removeprefix("system=").split(",")) == documented
    assert set(shown_command("python -m pytest ")[-1].split(" or ")) == documented


@pytest.mark.slow
def test_new_heads_pass_the_contract_and_the_configuration_tests(process):
    expected = (8 + 1) * len(HEADS) + len(CONFIGURATION_TESTS)  # contract and composition per head; all systems
    [summary] = re.findall(r"^\d+ (?:passed|failed).*$", process.stdout, flags=re.MULTILINE)
    assert summary.startswith(f"{expected} passed, "), process.stdout + process.stderr


@pytest.mark.slow
def test_sweep_trains_every_new_part(records):
    assert set(records) == HEADS | {"unigram"}
    for system in HEADS:
        record = records[system]
        assert (record.status, record.corpus, record.backbone) == ("ok", "arithmetic", "running_mean")
        assert record.vocabulary_size == 60 and record.generations[0]["greedy"]
        assert record.bits_per_byte < 0.9 * records["unigram"].bits_per_byte, system
        assert record.accuracy_at_1 > 1 / 6, system  # share of "plus", the best constant answer
    assert {system for system in HEADS if records[system].is_density} == {"mixture_of_softmaxes"}
    assert records["log_cosh"].config["targets"]["name"] == "letter_trigrams"


@pytest.mark.slow
def test_flops_are_null_where_an_op_has_no_formula_and_counted_elsewhere(records, process):
    for system in HEADS - {"distance"}:
        assert records[system].flops_per_position > records[system].head_flops_per_position > 0
    uncounted = records["distance"]
    assert (uncounted.flops_per_position, uncounted.head_flops_per_position) == (None, None)
    assert process.stderr.count("flops_per_position: null, as no formula counts torch.ops.aten._") == 1


@pytest.mark.slow
def test_report_shows_the_new_systems_and_the_new_metric(project, records):
    folder = project / "results" / "smoke"
    leaderboard, page = (folder / "leaderboard.md").read_text(), (folder / "index.html").read_text()
    for text in (*HEADS, "&lt; 1 bit %", "share of test words with open nats &lt; ln 2"):
        assert text in page
        assert text.replace("&lt; 1", "< 1") in leaderboard
    for system in HEADS:
        blocks = records[system].blocks
        assert 0 < sum(blocks["cheap"]) <= sum(blocks["words"]) == records[system].test_words
    assert sum(records["unigram"].blocks["cheap"]) == 0
