"""`python -m bench.generate`: prompts, samples, bounds of the options, unknown words."""

import functools
import shutil
import sys
from pathlib import Path

import pytest
from factories.cells import SYSTEMS, settings

from bench import generate
from bench.core.paths import record_stem, resolved_config, weights_path
from bench.core.stored_result import json_path
from bench.run import run
from bench.training.build import make_targets


@pytest.fixture(scope="module", params=["softmax", "gpt2"])
def kept(request, tmp_path_factory) -> Path:
    """Return the record of a cell on a synthetic text."""
    cfg = settings(tmp_path_factory.mktemp("kept"), *SYSTEMS[request.param])
    assert run(cfg).status == "ok"
    return json_path(record_stem(resolved_config(cfg)))


@pytest.fixture
def generated(monkeypatch, capsys):
    """Function that runs the command on a record; returns its status and the lines of stdout and stderr."""

    def command(record: Path, *arguments: str) -> tuple[object, list[str], list[str]]:
        monkeypatch.setattr(sys, "argv", ["bench.generate", str(record), *arguments])
        capsys.readouterr()
        try:
            status = generate.main()
        except SystemExit as stopped:
            status = stopped.code
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return command


@pytest.fixture
def said(generated, kept):
    """`generated` on the record of `kept`."""
    return functools.partial(generated, kept)


def test_each_prompt_is_continued_by_each_sample(said):
    arguments = ("--prompt", "baab", "--prompt", "baab baab", "--words", "5")
    status, lines, _ = said(*arguments, "--samples", "3")
    assert status is None
    assert [line.partition(" | ")[0] for line in lines] == ["baab"] * 3 + ["baab baab"] * 3
    assert len(set(lines[:3])) == 3 and all(line.partition(" | ")[2] for line in lines)
    assert said(*arguments, "--seed", "2")[1] == lines[2::3]  # the third sample has the seed two later
    assert said(*arguments, "--top-k", "1")[1] == said(*arguments, "--top-k", "1", "--seed", "9")[1]
    assert said(*arguments, "--temperature", "0.001")[1] != said(*arguments, "--temperature", "5")[1]
    assert said(*arguments, "--top-p", "0.000001")[1] == said(*arguments, "--top-k", "1")[1]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--words", "0"], "--words: 0 is not valid; give greater than or equal to 1"),
        (["--words", "-3"], "--words: -3 is not valid; give greater than or equal to 1"),
        (["--samples", "0"], "--samples: 0 is not valid"),
        (["--temperature", "0"], "--temperature: 0.0 is not valid"),
        (["--temperature", "nan"], "--temperature: nan is not valid"),
        (["--top-k", "0"], "--top-k: 0 is not valid"),
        (["--top-p", "1.5"], "--top-p: 1.5 is not valid; give less than or equal to 1 or null"),
        (["--seed", "-1"], "--seed: -1 is not valid"),
        (["--greedy", "--samples", "2"], "--greedy: the text is always the same; leave out"),
        (["--greedy", "--top-k", "2"], "--greedy: the text is always the same; leave out"),
    ],
)
def test_option_out_of_bounds_is_one_line(said, options, problem):
    status, lines, [line] = said("--prompt", "baab", *options)
    assert status == 2 and line.startswith(problem)
    assert lines == []


def test_record_in_a_renamed_folder_has_its_weights_there(generated, kept, tmp_path):
    moved = tmp_path / "run (old).1"
    shutil.copytree(kept.parent, moved)
    status, lines, _ = generated(moved / kept.name, "--prompt", "baab", "--words", "2")
    assert status in (None, 0) and lines


def test_unknown_words_of_a_prompt_are_named_and_left_out(said):
    status, lines, errors = said("--prompt", "zebra baab quark", "--words", "4")
    assert status is None and "'zebra baab quark': words left out, as synthetic lacks them: zebra, quark" in errors
    assert lines[0].partition(" | ")[2] == said("--prompt", "baab", "--words", "4")[1][0].partition(" | ")[2]
    assert "left out" not in "".join(said("--prompt", "baab")[2])
    status, _, errors = said("--prompt", "zebra")
    assert (status, errors[-1]) == (2, "--prompt: 'zebra' holds no word of synthetic; give one that does")


def test_regressor_continues_a_prompt_without_building_its_targets(generated, tmp_path, monkeypatch):
    cfg = settings(tmp_path, *SYSTEMS["cosine"])
    record = run(cfg)
    [continuation] = record.generations
    make_targets.cache_clear()
    monkeypatch.setattr(cfg.targets._target_, lambda **_: pytest.fail("the targets were built"))
    path = json_path(record_stem(resolved_config(cfg)))
    status, lines, _ = generated(path, "--prompt", "baab", "--words", "3", "--greedy")
    assert (status, lines) == (None, [f"baab | {continuation['greedy']}"])


def test_damaged_weights_are_refused_in_one_line(generated, tmp_path):
    cfg = settings(tmp_path, *SYSTEMS["cosine"])
    run(cfg)
    weights = weights_path(resolved_config(cfg))
    weights.write_bytes(weights.read_bytes()[:-100])
    status, lines, errors = generated(json_path(record_stem(resolved_config(cfg))), "--prompt", "baab")
    assert (status, lines) == (2, []) and errors[-1].startswith(f"RUN: {weights} is missing or damaged")
