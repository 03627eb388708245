"""Commands of the README and of docs/ run, with settings that make them small, and links lead to files.

tests/extending runs the commands of docs/extending.md.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from factories.commands import bench
from factories.configurations import composed, composed_with_hydra

from bench.report.figure_links import COMMENT

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "results" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULE = re.compile(r"(?:\S*/)?python3? -m (bench\S*|pytest)\s*(.*)")

TEXT = ["corpus=text", "corpus.path=text.txt"]
CELL = [
    *TEXT, "vocabulary.size=300", "budget.words=2000", "batch.streams=4", "backbone.trunk.hidden_size=32",
    "generation.words=4", "logger=none", "evaluation.validation_words=600",
    "evaluation.calibration_words=300", "evaluation.test_words=600", "evaluation.search_words=20",
]  # fmt: skip
COST = [
    "vocabulary.size=60", "cost.contenders=[softmax,cosine]", "cost.positions=32", "cost.hidden_size=16",
    "cost.target_size=16", "cost.rounds=2", "cost.repeat_seconds=0.0005",
]  # fmt: skip
ENCODER = [*TEXT, "cost.words=256", "cost.window=4", "cost.rounds=2", "targets.window=8"]
LOOP = [
    *TEXT, "vocabulary.size=300", "targets=random", "targets.dimension=16", "backbone.trunk.hidden_size=16",
    "batch.streams=4", "batch.steps=20", "trainer=cpu", "cost.words=800", "cost.rounds=2", "logger=csv",
]  # fmt: skip
SMALL = {  # experiment -> settings that replace those of the command, or are added
    "": CELL,
    "smoke": [*CELL, "system=softmax,cosine"],
    "vocab_sweep": [*CELL, "system=softmax,sampled_softmax,cosine"],
    "data_scaling": [*CELL, "system=sampled_softmax,cosine", "budget.words=1500,2000", "seed=0"],
    "cost_sweep": COST,
    "cost_sweep_model": COST,
    "cost_encoder": ENCODER,
    "cost_loop": LOOP,
}
ELSEWHERE = {  # part of a command -> test that runs it, and a part of that test's text
    "hydra/launcher=slurm": ("test_slurm.py", "hydra/launcher=slurm"),
    "trainer=ddp": ("training/test_distributed.py", "trainer=ddp"),
    "+experiment=gpu_reference device=cpu": ("test_gpu_reference.py", "test_rehearsal_writes_records_and_ledgers"),
    "+experiment=gpu_reference": ("test_gpu_reference.py", "test_missing_gpu_is_one_line_with_the_rehearsal"),
    "pip install --no-index": ("test_bundle.py", "def test_bundle_holds_each_package_once_and_the_files"),
    "bench.wandb_upload --mode online": ("dashboard/test_wandb_service.py", "def test_online_upload_reaches"),
    "bench.dashboard results/": ("dashboard/test_wandb_service.py", '"bench.dashboard"'),
    "bench.export": ("models/test_stored_predictions.py", "export.export(settings("),
    "bench system=predictions": ("models/test_stored_predictions.py", "system=predictions"),
    "bench.diagnose results/single/my_jepa": ("models/test_stored_predictions.py", '"bench.diagnose"'),
    "jupyter execute --inplace notebooks/": ("test_notebooks.py", "NotebookClient"),
    "+experiment=vocab_sweep system=softmax,hinge": ("extending/test_extending.py", "hinge"),
    "+experiment=smoke system=mixture_of_softmaxes": ("extending/test_extending.py", "shown_command"),
    "system.head._target_=their_package.TheirHead": ("test_end_to_end.py", "test_head_of_another_package_runs"),
    'tests/heads/test_head_contract.py -k "mixture': ("extending/test_extending.py", "shown_command"),
}


def commands() -> list[str]:
    """Command lines of the `sh` blocks, continuation lines joined, and the `python -m` commands within sentences."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text()
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        found += [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if not is_script(block)]
        found += [each.replace("\n", " ") for each in re.findall(r"`(python -m [^\s`]+\s[^`]+)`", text)]
    return list(dict.fromkeys(command for line in found if (command := " ".join(line.split(" #")[0].split()))))


def is_script(block: str) -> bool:
    """True for a block of several lines that the shell reads as one command."""
    return "; do" in block


def scripts() -> list[str]:
    texts = [path.read_text() for path in DOCUMENTS]
    return [block for text in texts for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if is_script(block)]


def is_elsewhere(command: str) -> bool:
    return any(part in command for part in ELSEWHERE)


MODULES = [command for command in commands() if MODULE.fullmatch(command) and not is_elsewhere(command)]
OWN_HEAD = ("hinge", "their_package", "mixture_of_softmaxes")  # in commands about a reader's own head
CONFIGURED = [
    command for command in commands()
    if re.search(r"python3? -m bench \S*=", command) and not any(name in command for name in OWN_HEAD)
]  # fmt: skip
MAKE = [command for command in commands() if command.startswith("make ")]


def small(arguments: list[str]) -> list[str]:
    """Replace and add settings, so that a run takes seconds."""
    experiments = [each.partition("=")[2] for each in arguments if each.startswith("+experiment=")]
    replacing = SMALL[experiments[0] if experiments else ""]
    if "corpus.path=my_folder" in arguments or "corpus.path=books" in arguments:
        replacing = [each for each in replacing if not each.startswith("corpus.path=")]
    keys = {each.partition("=")[0] for each in replacing}
    return [*(each for each in arguments if each.partition("=")[0] not in keys), *replacing]


@pytest.fixture(scope="module")
def home(place: Path, forked: Callable[..., subprocess.CompletedProcess]) -> Path:
    """A user's folder: texts, finished cells in results/single and a finished sweep in results/vocab_sweep."""
    for name in ("my_folder", "books"):
        (place / name).mkdir()
        for number, document in enumerate((place / "text.txt").read_text().split("\n\n")):
            (place / name / f"{number:02}.txt").write_text(document)
    for arguments in (["system=softmax"], ["system=cosine"], ["+experiment=vocab_sweep"]):
        done = forked(place, *small(arguments))
        assert done.returncode == 0, done.stderr
    for text in (place / "README.md", place / "results" / "README.md"):
        text.write_text("# Nothing measured\n")
    return place


def filled_in(argument: str, home: Path) -> list[str]:
    """Replace a placeholder of a documented argument by names of the user's folder, and expand a pattern."""
    names = {"….json": "*.json", "…": "vocab_sweep", "RECORD": "results/single/cosine-*.json"}
    names |= {"<experiment>": "vocab_sweep", "FOLDER": "results/vocab_sweep", "NAME": "cosine"}
    for placeholder, name in names.items():
        argument = argument.replace(placeholder, name)
    return sorted(str(path.relative_to(home)) for path in home.glob(argument)) if "*" in argument else [argument]


@pytest.mark.slow
@pytest.mark.parametrize("command", MODULES)
def test_command_of_the_documentation_runs(command, home, forked):
    module, rest = MODULE.fullmatch(command).groups()
    arguments = [each for argument in shlex.split(rest) for each in filled_in(argument, home)]
    if module == "pytest":
        whole = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    else:
        is_configured = module in ("bench", "bench.targets") and "--help" not in arguments
        run = bench if "hydra/launcher=joblib" in arguments else forked  # workers do not end with a fork
        done = run(home, *(small(arguments) if is_configured else arguments), module=module)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("script", scripts())
def test_script_of_the_documentation_runs(script, home):
    python = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for documented, tiny in (("vocabulary.size=5000", "vocabulary.size=300"), ("budget.words=100000", " ".join(CELL))):
        assert documented in script
        script = script.replace(documented, tiny)
    done = subprocess.run(["bash", "-ec", script], cwd=home, env=os.environ | python, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("ms per 1,000 words") == 5, done.stderr


@pytest.mark.parametrize("command", MAKE)
def test_make_knows_the_target_and_its_commands_are_valid_configurations(command):
    whole = ["make", "-n", "-o", ".venv/ready", *shlex.split(command)[1:]]
    done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
    said = re.sub(r"\$\([^)]*\)", "PATH", done.stdout.replace("\\\n", " "))  # output of a command that is not run
    for line in said.splitlines():
        if (found := MODULE.search(line)) and found[1] == "bench":
            compose_first(shlex.split(found[2], comments=True))


@pytest.mark.parametrize("command", CONFIGURED)
def test_command_of_the_documentation_is_a_valid_configuration(command):
    compose_first(shlex.split(command.partition(" -m bench ")[2]))


def compose_first(arguments: list[str]) -> None:
    """Compose the first point of a sweep."""
    overrides = [each if "[" in each else each.split(",")[0] for each in arguments]
    (composed_with_hydra if "hydra" in " ".join(overrides) else composed)(*overrides)


def test_every_command_of_the_documentation_is_run_by_a_test():
    known = {*MODULES, *MAKE, ". .venv/bin/activate"}
    others = [command for command in commands() if command not in known and not command.startswith("export ")]
    assert [command for command in others if not is_elsewhere(command)] == []
    for part, (test, text) in ELSEWHERE.items():
        assert any(part in command for command in commands()), part
        assert text in (ROOT / "tests" / test).read_text(), part


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash: install it to test the completion of commands")
def test_shell_completion_of_the_readme_can_be_installed(tmp_path):
    [line] = re.findall(r"`(eval [^`]+)`", (ROOT / "README.md").read_text())
    (tmp_path / "head-bench").write_text(f"#!{sys.executable}\nfrom bench.cli import main\n\nmain()\n")
    (tmp_path / "head-bench").chmod(0o755)
    script = f"PATH={tmp_path}:$PATH; {line}; complete -p head-bench"
    done = subprocess.run(["bash", "-ec", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "head-bench" in done.stdout, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_the_documentation_exist(path):
    text = re.sub(r"```.*?```", "", COMMENT.sub("", path.read_text()), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)|^\[[^\]]+\]: ([^\s#]+)", text, re.MULTILINE)
    links = [link for pair in targets for link in pair if link and ":" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
