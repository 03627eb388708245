"""What the command line suggests: the nearest choice, setting or option, how to continue, what completes a word."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import cli
from bench.core.command_line import check_groups, check_options
from bench.core.errors import SettingError
from bench.core.known_settings import unknown_setting
from bench.core.signals import STOPPED


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("system=sofmax", "system: there is no sofmax; did you mean softmax? The choices are adaptive_softmax, "),
        ("+experiment=vocab_swep", "experiment: there is no vocab_swep; did you mean vocab_sweep? The choices are "),
        ("corpus=kvj", "corpus: there is no kvj; did you mean kjv? The choices are kjv, "),
        ("corpus=xyz", "corpus: there is no xyz; choose one of kjv, "),
        ("system=softmax, msee", "system: there is no msee; did you mean mse? The choices are "),
    ],
)
def test_unknown_choice_suggests_the_nearest_and_lists_all(argument: str, line: str):
    with pytest.raises(SettingError) as raised:
        check_groups([argument])
    assert str(raised.value).startswith(line) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("--multrun", "--multrun: there is no such option; did you mean --multirun?"),
        ("--xyz=1", "--xyz: there is no such option; `python -m bench --hydra-help` lists the options"),
        ("--cfg=jobb", "command line: argument --cfg/-c: invalid choice: 'jobb'"),
    ],
)
def test_unknown_option_suggests_the_nearest(argument: str, line: str):
    with pytest.raises(SettingError) as raised:
        check_options(["system=softmax", argument, "seed=0"])
    assert str(raised.value).startswith(line) and "\n" not in str(raised.value)


@pytest.mark.parametrize("options", [["-m"], ["--multirun"], ["--cfg", "job"], ["-c", "job"], ["--help"], []])
def test_options_of_hydra_are_known(options: list[str]):
    check_options([*options, "system=softmax", "~logger", "+experiment=smoke"])


@pytest.mark.parametrize(("key", "group"), [("sistem", "system"), ("experimnt", "experiment"), ("targts", "targets")])
def test_unknown_key_suggests_a_group(key: str, group: str):
    assert unknown_setting(key).endswith(f"did you mean {group}?")


def test_interrupt_outside_a_job_says_how_to_continue(monkeypatch, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "job", interrupted)
    monkeypatch.setattr(sys, "argv", ["bench", "system=softmax"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == STOPPED
    assert capsys.readouterr().err == "stopped by SIGINT; the same command continues from here\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_a_sweeps_own_process_interrupts_it_and_says_how_to_continue(monkeypatch, capsys, number):
    monkeypatch.setattr(cli, "job", lambda: (os.kill(os.getpid(), number), time.sleep(10)))
    monkeypatch.setattr(sys, "argv", ["bench", "system=softmax"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == STOPPED and signal.getsignal(number) is before
    assert capsys.readouterr().err == f"stopped by {number.name}; the same command continues from here\n"


def test_single_run_ends_with_its_figures_its_files_and_the_command_of_the_report(tmp_path: Path, capsys):
    for name in ("cell-0123.json", "cell-0123.npz", "cell-4567.json"):
        (tmp_path / name).touch()
    path, weights = tmp_path / "cell-0123.json", tmp_path / "weights.safetensors"
    cli.show_result(path, weights, {"accuracy@1": "0.1", "bits per byte": "2.0512"})
    lines = [
        "accuracy@1   bits per byte",
        "       0.1          2.0512",
        f"result: {path}",
        f"values per word: {tmp_path / 'cell-0123.npz'}",
        f"tables and figures: python -m bench.report {tmp_path}",
    ]
    assert capsys.readouterr().out.splitlines() == lines
    weights.touch()
    cli.show_result(path, weights, {})
    assert capsys.readouterr().out.splitlines() == [*lines[2:4], f"weights: {weights}", lines[4]]


def test_shell_completes_choices():
    line = "head-bench system=sof"
    environment = os.environ | {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    command = [sys.executable, "-m", "bench", "-sc", "query=bash"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=True)
    assert run.stdout.split() == ["system=softmax"]
