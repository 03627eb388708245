"""What the command line says of bad input: one line, exit status 2; in a sweep, the other cells go on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.errors import InstantiationException

from bench import pretrained
from bench.core.command_line import check_options, quote_pattern
from bench.core.errors import SettingError
from bench.core.record import SCHEMA, Record
from bench.core.refusals import exiting_on_refusal

SMALL = [
    "system=unigram", "corpus=text", "corpus.path=text.txt", "vocabulary.size=20", "logger=none", "trainer=cpu",
    "generation.prompts=[the]", "generation.words=1", "evaluation.test_words=60",
]  # fmt: skip


@pytest.fixture
def place(tmp_path) -> Path:
    documents = [" ".join(["the", *(f"w{i * j % 37}" for j in range(99))]) for i in range(1, 9)]
    (tmp_path / "text.txt").write_text("\n\n".join(documents))
    return tmp_path


def bench(place: Path, *arguments: str, module: str = "bench", **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", module, *arguments]
    clean = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    return subprocess.run(
        command, cwd=place, env=clean | environment, capture_output=True, text=True, timeout=300, check=False
    )


def records(place: Path) -> dict[str, str]:
    """Status by seed."""
    return {json.loads(path.read_text())["seed"]: Record.read(path).status for path in place.glob("results/*/*.json")}


@pytest.mark.slow
def test_cell_with_settings_that_name_no_record_fails_alone(forked, place):
    run = forked(place, "-m", *SMALL, "seed=0,${nothing},-1,1")
    assert run.returncode == 1
    assert "seed: Interpolation key 'nothing' not found" in run.stderr
    assert "seed: -1 is not valid; give greater than or equal to 0" in run.stderr
    assert "2 of 4 cells failed" in run.stderr and "Traceback" not in run.stderr and "Warning" not in run.stderr
    assert records(place) == {0: "ok", 1: "ok", -1: "failed"}


@pytest.mark.slow
def test_sweep_that_does_not_compose_ends_before_its_first_cell(forked, place):
    run = forked(place, "-m", *SMALL, "seed=0,1", "vocabulary.sise=5,6")
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("vocabulary.sise: no such setting exists for the chosen groups")
    assert "Traceback" not in run.stderr and records(place) == {}


@pytest.mark.slow
def test_pattern_that_matches_no_choice_is_refused(forked, place):
    run = forked(place, "-m", *SMALL[1:], "system=glob(zzz*)")
    assert (run.returncode, run.stderr) == (
        2,
        "system: glob(zzz*) matches no choice; `python -m bench --help` lists the choices\n",
    )


def test_pattern_of_competitors_needs_no_second_quotes():
    typed = ["competitors=glob(*,exclude=[truth])", "+competitors='glob(*)'", "competitors=[nce]", "system=glob(*)"]
    assert quote_pattern(typed) == ["competitors='glob(*,exclude=[truth])'", *typed[1:]]


def test_options_that_name_two_commands_are_refused():
    with pytest.raises(SettingError, match="command line: --multirun and --cfg exclude each other"):
        check_options(["--cfg", "job", "--multirun"])
    check_options(["--cfg", "job", "--resolve"])


@pytest.mark.slow
@pytest.mark.parametrize(("schema", "advice"), [(SCHEMA + 1, "update this program"), (SCHEMA - 1, "with force=true")])
def test_record_of_another_schema_is_named_and_kept(forked, place, schema, advice):
    assert forked(place, *SMALL).returncode == 0
    [path] = place.glob("results/*/*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": schema}))
    before, line = path.read_bytes(), f"{path.relative_to(place)}: has schema {schema}, this version reads {SCHEMA}; "
    again = forked(place, *SMALL)
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    assert again.stderr.startswith(line) and advice in again.stderr
    report = forked(place, str(path.parent.relative_to(place)), module="bench.report")
    assert report.returncode != 0 and report.stderr.startswith(line) and len(report.stderr.splitlines()) == 1
    sweep = forked(place, "-m", *SMALL, "seed=0,1")
    assert sweep.returncode != 0 and line in sweep.stderr and "Traceback" not in sweep.stderr
    assert path.read_bytes() == before
    assert forked(place, *SMALL, "force=true").returncode == 0
    assert Record.read(path).status == "ok"


def test_error_of_this_program_keeps_its_traceback(place):
    (place / "sitecustomize.py").write_text(
        "import bench.core.paths\n"
        "def broken(cfg): raise AssertionError('a bug')\n"
        "bench.core.paths.plain_config = broken\n"
    )
    run = bench(place, *SMALL, PYTHONPATH=f"{place}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert run.returncode == 1 and "Traceback" in run.stderr and "AssertionError: a bug" in run.stderr


def test_setting_that_an_object_of_hydra_refuses_ends_a_command_with_one_line(capsys):
    with pytest.raises(SystemExit) as ended, exiting_on_refusal():
        error = SettingError("targets.path", "it is gone; restore it")
        raise InstantiationException("Error in call to target\nfull_key: targets") from error
    assert ended.value.code == 2
    assert capsys.readouterr().err == "targets.path: it is gone; restore it\n"


def test_other_error_in_an_object_that_hydra_builds_keeps_its_traceback():
    with pytest.raises(InstantiationException), exiting_on_refusal():
        raise InstantiationException("Error in call to target\nfull_key: targets") from AssertionError("a bug")


def test_install_over_a_folder_without_a_model_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench.pretrained", str(tmp_path)])
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: name)
    with pytest.raises(SystemExit) as ended:
        pretrained.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error == f"bench.pretrained: {tmp_path} exists but holds no model; delete it and run this again\n"


def test_hydra_full_error_shows_hydra_s_own_message(place):
    run = bench(place, *SMALL, "vocabulary.sise=5", HYDRA_FULL_ERROR="1")
    assert run.returncode == 1 and "ConfigCompositionException" in run.stderr
