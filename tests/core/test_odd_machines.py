"""Machines without git, HOME or a UTF-8 screen, foreign folders, and arguments that are hard to type."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from factories.configurations import plain
from hydra.core.override_parser.overrides_parser import OverridesParser

from bench.core.environment import config_dir
from bench.core.paths import system_name
from bench.core.provenance import git_commit
from bench.core.refusals import quoting_advice


def bench(folder: Path, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess:
    """`python -m bench` in a process of its own; None removes a variable of the environment."""
    changed = {name: value for name, value in (os.environ | environment).items() if value is not None}
    changed.pop("HYDRA_FULL_ERROR", None)
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=folder, env=changed, capture_output=True, text=True, timeout=120, check=False)


def test_commit_is_null_without_git(monkeypatch, tmp_path):
    assert git_commit() is not None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None


def test_screen_that_is_not_utf8_gets_substitute_characters():
    script = "from bench.core.environment import substitute_unprintable as f; f(); print('3 × 4')"
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    run = subprocess.run([sys.executable, "-c", script], env=ascii_only, capture_output=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, b"3 ? 4")


def test_cache_folder_is_enough_without_home(tmp_path):
    run = bench(tmp_path, "--cfg", "job", "--resolve", HOME=None, HEAD_BENCH_CACHE=str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert f"cache_dir: {tmp_path}" in run.stdout


def test_misspelt_key_is_named_although_another_argument_has_a_comma(tmp_path):
    run = bench(tmp_path, "+experiment=vocab_sweep", "system=softmax,mse", "vocabulary.sise=10")
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("vocabulary.sise: no such setting exists")
    assert "did you mean vocabulary.size?" in run.stderr


def test_comma_without_a_sweep_still_advises_multirun(tmp_path):
    run = bench(tmp_path, "system=softmax,mse")
    assert run.returncode == 2 and "--multirun" in run.stderr


@pytest.mark.parametrize("value", ["/tmp/a=b.txt", "it's=x", 'a"b=c', "a\\=b", "a=b\\", "a b=c"])
def test_quoting_advice_works_when_typed(value):
    advice = quoting_advice(f"corpus.path={value}")
    [typed] = shlex.split(advice.removeprefix("type "))
    parsed = OverridesParser.create().parse_override(typed)
    assert (parsed.key_or_group, parsed.value()) == ("corpus.path", value)


def test_path_with_an_equals_sign_is_answered_with_the_whole_argument(tmp_path):
    run = bench(tmp_path, "corpus=text", "corpus.path=/tmp/a=b.txt")
    assert run.returncode == 2 and """type 'corpus.path="/tmp/a=b.txt"'""" in run.stderr


def test_configuration_tree_is_taken_from_inside_the_package_first(tmp_path):
    package = tmp_path / "bench"
    (tmp_path / "conf").mkdir()  # a foreign package beside an installed one
    (package / "conf").mkdir(parents=True)
    assert config_dir(package) == str(package / "conf")
    assert (Path(config_dir()) / "config.yaml").is_file()


def test_outside_head_is_named_by_its_class_unless_it_is_given_a_name():
    outside = {"_target_": "their_package.TheirHead"}
    assert system_name({"name": "softmax", "head": outside}) == "TheirHead"
    assert system_name({"name": "mine", "head": outside}) == "mine"
    for shipped in ("softmax", "cosine", "gpt2", "unigram"):
        system = plain(f"system={shipped}")["system"]
        assert system_name(system) == system["name"]
