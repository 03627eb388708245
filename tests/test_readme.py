"""The README's table holds the figures of the published records, and its commands are valid configurations."""

import json
import re
import shlex
from pathlib import Path
from statistics import mean

import pytest
from hydra import compose, initialize_config_dir

from bench.core.environment import config_dir

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
REFERENCE = ROOT / "results" / "reference"
ROWS = {  # name in the README -> system, targets.level, contender of the cost ledger
    "full softmax": ("softmax", None, "softmax"),
    "sampled softmax": ("sampled_softmax", None, "sampled_softmax"),
    "adaptive softmax": ("adaptive_softmax", None, "adaptive_softmax"),
    "cosine, BERT types": ("cosine", "type", "cosine"),
    "MSE, BERT types": ("mse", "type", "mse"),
    "cosine, BERT tokens": ("cosine", "token", "cosine"),
    "MSE, BERT tokens": ("mse", "token", "mse"),
    "GPT-2's shape, from scratch": ("gpt2-scratch", None, None),
    "3-gram (floor)": ("ngram", None, None),
}
TABLE = {
    cells[0]: cells[1:]
    for line in README.splitlines()
    if line.startswith("| ") and (cells := [cell.strip() for cell in line.strip("|").split("|")])[0] in ROWS
}
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def records() -> list[dict]:
    """Records of the vocabulary sweep at V = 20,000, without random target vectors."""
    found = [json.loads(path.read_text()) for path in (REFERENCE / "vocab_sweep").glob("*-v20000-*.json")]
    return [record for record in found if targets(record).get("name") != "random"]


def targets(record: dict) -> dict:
    """Target settings of the record's head; empty if the head reads no targets."""
    return record["config"]["system"].get("head", {}).get("targets", {})


def expected(name: str) -> list[str]:
    system, level, contender = ROWS[name]
    own = [record for record in records() if record["system"] == system and targets(record).get("level") == level]
    assert len(own) == 3
    quality = [
        f"{mean(record['bits_per_byte'] for record in own):.3f}",
        f"{mean(record['word_perplexity'] for record in own):,.0f}",
        f"{100 * mean(record['accuracy_at_1'] for record in own):.1f}",
        f"{100 * mean(record['accuracy_at_10'] for record in own):.1f}",
    ]
    ledgers = [json.loads(path.read_text()) for path in (REFERENCE / "cost_sweep").glob("v100000-*.json")]
    [ledger] = [ledger for ledger in ledgers if ledger["config"]["cost"]["part"] == "head"]
    costs = {row["contender"]: row for row in ledger["rows"]}
    if contender is None:
        return [*quality, "–", "–"]
    step_ms, look_up_ms = costs[contender]["step_ms"][1], costs[contender]["decode_1_ms"][1]
    return [*quality, f"{step_ms:,.1f}".removesuffix(".0"), f"{look_up_ms:.1f}"]


def test_every_row_of_the_table_is_known():
    assert set(TABLE) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_row_holds_the_figures_of_the_published_records(name):
    assert TABLE[name] == expected(name)


def commands() -> list[str]:
    """Hydra command lines of the README and of docs/, continuation lines joined."""
    texts = [path.read_text() for path in DOCUMENTS if path.name != "extending.md"]  # tests/extending runs those
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", "\n".join(texts), re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.startswith("python -m bench ")]


@pytest.mark.parametrize("command", commands())
def test_command_of_the_documentation_is_a_valid_configuration(command):
    overrides = [override.split(",")[0] for override in shlex.split(command)[3:]]  # the first point of a sweep
    with initialize_config_dir(config_dir(), version_base="1.3"):
        compose("config", overrides, return_hydra_config=True)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_the_documentation_exist(path):
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
