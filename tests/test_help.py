"""`python -m bench --help`: purpose, examples, and every setting of conf/config.yaml."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import bench
from bench.core.environment import config_dir
from bench.core.help_page import EXPLAINED

SOURCES = Path(bench.__file__).parent


@pytest.fixture(scope="module")
def help_text() -> str:
    return subprocess.run([sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, check=True).stdout


def settings() -> list[str]:
    """Dotted keys of conf/config.yaml that a user sets."""
    tree = OmegaConf.to_container(OmegaConf.load(Path(config_dir(), "config.yaml")), resolve=False)
    return [
        f"{group}.{key}" if isinstance(value, dict) else group
        for group, value in tree.items()
        if group not in ("defaults", "hydra")
        for key in (value if isinstance(value, dict) else [None])
    ]


@pytest.mark.parametrize("setting", settings())
def test_every_setting_is_explained(help_text, setting):
    assert setting in help_text


def test_help_begins_with_the_purpose_and_three_examples(help_text):
    assert help_text.startswith("Compare output heads")
    assert help_text.count("\n  python -m bench ") == 3


def choices(group: str) -> set[str]:
    return {file.stem for file in Path(config_dir(), group).glob("*.yaml")}


@pytest.mark.parametrize("group", ["targets", "backbone", "trainer", "logger", "search"])
def test_help_lists_the_choices_of_a_group_in_a_line(help_text, group):
    assert f"\n{group}: {', '.join(sorted(choices(group)))}\n" in help_text


@pytest.mark.parametrize("group", EXPLAINED)
def test_help_explains_each_choice_of_a_group_in_a_line(help_text, group):
    lines = re.search(rf"^{group}:\n((?:  .*\n)*)", help_text, flags=re.MULTILINE)[1].splitlines()
    purposes = dict(re.fullmatch(r"  (\w+) +(\S.*)", line).groups() for line in lines)
    assert purposes.keys() == choices(group)
    assert min(map(len, purposes.values())) > 10


COMMANDS = sorted(
    f"bench.{path.stem}" if path.parent == SOURCES else f"bench.{path.parent.name}"
    for path in (*SOURCES.glob("*.py"), *SOURCES.glob("*/__main__.py"))
    if "if __name__ ==" in path.read_text() and path.stem != "cli"
)


@pytest.mark.parametrize("module", [module for module in COMMANDS if module != "bench.__main__"])
def test_help_of_a_command_is_its_usage_and_does_nothing(module, forked, tmp_path):
    done = forked(tmp_path, "--help", module=module)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m {module} ") and "--help" in done.stdout
    assert [*tmp_path.iterdir()] == []
