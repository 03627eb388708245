"""Online runs, `wandb sync` and publishing, against a stand-in for W&B's service that keeps what is sent."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories.commands import settings
from factories.experiments import write_experiments
from factories.offline_runs import offline_runs
from factories.wandb_server import ENTITY, WandbServer, wandb_server

from bench.core.record import read_records

pytestmark = pytest.mark.slow


@pytest.fixture
def service() -> Iterator[WandbServer]:
    with wandb_server() as store:
        yield store
    assert [name for name in store.operations if name.startswith("unanswered")] == []


@pytest.fixture
def run(forked) -> Callable[..., subprocess.CompletedProcess]:
    """Function that runs a module with the service's address and key, or with no key, in a home without W&B's files."""

    def command(folder: Path, service: WandbServer | None, module: str, *arguments: str) -> subprocess.CompletedProcess:
        removed = dict.fromkeys(name for name in os.environ if name.startswith("WANDB_"))
        environment = removed | {"HOME": str(folder)} | (service.environment if service else {})
        return forked(folder, *arguments, module=module, **environment)

    return command


def assert_complete(service: WandbServer) -> None:
    """Assert that the service holds every cell of the experiment `sweep`, and its summary."""
    by_job = {}
    for stored in service.runs.values():
        by_job.setdefault(stored.fields["jobType"], []).append(stored)
    assert {job: len(runs) for job, runs in by_job.items()} == {"softmax": 4, "mse": 4, "unigram": 4, "summary": 1}
    for stored in service.runs.values():
        assert stored.fields["groupName"] == "sweep" and stored.exit_code == 0
    for stored in by_job["mse"]:
        assert stored.fields["tags"][:2] == ["mse", "wiki_sample"] and stored.fields["tags"][2] in ("v1000", "v5000")
        assert stored.config["system.kind"] == "regressor"
        assert [row["words"] for row in stored.history if "words" in row] == [50_000 * i for i in range(1, 11)]
        assert all({"seconds", "flops", "curve/validation_nats"} <= set(row) for row in stored.history[:10])
        assert stored.summary["diagnosis/lost_to_fit"] == -0.01
        assert stored.summary["bits_per_byte"] > 0 and stored.summary["accuracy_by_decile/10"] > 0
        assert any(name.startswith("media/table/generations") for name in stored.files)
    [summary] = by_job["summary"]
    [name] = [name for name in summary.files if name.startswith("media/table/sweep/leaderboard")]
    assert "bits per byte ↓" in json.loads(summary.files[name])["columns"]
    assert any(name.startswith("media/html/sweep/figures/quality_vs_cost") for name in summary.files)
    [records] = [each for each in service.artifacts.values() if each["artifactTypeName"] == "records"]
    assert records["state"] == "COMMITTED"
    assert len([name for name in records["files"] if name.endswith(".json")]) == 12
    assert "leaderboard.md" in records["files"]


def test_online_upload_reaches_the_service_whole(service, run, tmp_path):
    folder = write_experiments(tmp_path)[0]
    done = run(tmp_path, service, "bench.wandb_upload", str(folder), "--mode", "online")
    assert (done.returncode, done.stdout) == (0, "12 records are logged\n"), done.stderr
    assert_complete(service)


def test_second_upload_sends_changed_records_alone(service, run, tmp_path):
    folder = write_experiments(tmp_path)[0]
    upload = ("bench.wandb_upload", str(folder), "--mode", "online")
    assert run(tmp_path, service, *upload).returncode == 0
    before = len(service.operations)
    path = sorted(folder.glob("mse-v1000-s0-*.json"))[0]
    record = json.loads(path.read_text())
    record["diagnosis"]["lost_to_fit"] = -0.5
    path.write_text(json.dumps(record))
    assert run(tmp_path, service, *upload).returncode == 0
    sent = service.operations[before:]
    assert sent.count("RunResumeStatus") == 1  # the cell is continued; the summary is replaced
    lost = [each.summary["diagnosis/lost_to_fit"] for each in service.runs.values() if each.fields["jobType"] == "mse"]
    assert sorted(lost) == [-0.5, -0.01, -0.01, -0.01]
    for stored in service.runs.values():  # rows of the curve are not sent again
        words = [row["words"] for row in stored.history if "words" in row]
        assert words == sorted(set(words))


def test_sync_of_offline_runs_reaches_the_service_whole(service, run, tmp_path):
    folder = write_experiments(tmp_path)[0]
    assert run(tmp_path, None, "bench.wandb_upload", str(folder), "--mode", "offline").returncode == 0
    assert service.runs == {}
    done = run(tmp_path, service, "wandb", "sync", *map(str, offline_runs(tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert_complete(service)


def test_cell_that_trains_online_is_followed_while_it_trains(service, forked, place, tmp_path):
    arguments = [*settings("softmax"), "hydra.mode=RUN", "corpus.path=text.txt", f"results_dir={tmp_path}"]
    environment = service.environment | {"HOME": str(tmp_path), "WANDB_MODE": "online"}
    done = forked(place, *arguments, "logger=wandb", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    [(path, record)] = read_records([tmp_path])
    [stored] = service.runs.values()
    assert (stored.fields["displayName"], stored.fields["groupName"], stored.exit_code) == (path.stem, "smoke", 0)
    assert {"training/loss", "curve/validation_nats"} <= set().union(*stored.history)
    rows = [row for row in stored.history if "curve/validation_nats" in row]
    assert [row["words"] for row in rows] == [row["words"] for row in record.curve]
    assert stored.summary["bits_per_byte"] == pytest.approx(record.bits_per_byte)


def test_commands_of_the_documentation_publish(service, run, tmp_path):
    write_experiments(tmp_path / "results" / "reference", ("vocab_sweep", "equal_time"))
    document = (Path(__file__).parents[2] / "docs" / "dashboards.md").read_text()
    commands = re.findall(r"^python -m (bench\..*?)(?:  +#.*)?$", document, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        done = run(tmp_path, service, *shlex.split(command))
        assert done.returncode == 0, done.stderr
    assert {each.fields["jobType"] for each in service.runs.values()} == {"softmax", "mse", "unigram", "summary"}
    assert len(service.views) == 2


def test_dashboard_is_published_with_a_key(service, run, tmp_path):
    write_experiments(tmp_path)
    done = run(tmp_path, service, "bench.dashboard", "sweep", "single", "--project", "heads")
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "wandb" / "dashboard.json").read_text())
    views = {view["type"]: view for view in service.views.values()}
    assert {view["entityName"] for view in views.values()} == {ENTITY}
    assert {view["projectName"] for view in views.values()} == {"heads"}
    assert views["project-view"]["spec"] == written["workspace"]["spec"]
    assert [block["type"] for block in views["runs"]["spec"]["blocks"]] == [
        block["type"] for block in written["report"]["spec"]["blocks"]
    ]
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["view", "workspace", "report"]


def test_dashboard_without_a_key_says_how_to_publish(run, tmp_path):
    write_experiments(tmp_path)
    done = run(tmp_path, None, "bench.dashboard", "sweep")
    assert done.returncode == 0, done.stderr
    view, remedy = done.stdout.splitlines()
    assert view == f"view: {Path('wandb', 'dashboard.json')}"
    assert remedy.startswith("not published: no key of W&B")
    assert "python -m bench.wandb_upload --mode online sweep && python -m bench.dashboard sweep" in remedy


def test_service_out_of_reach_is_one_line(run, tmp_path):
    write_experiments(tmp_path)
    unreachable = WandbServer(url="http://127.0.0.1:9")
    done = run(tmp_path, unreachable, "bench.dashboard", "sweep")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("W&B: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "FOLDER: no record in nowhere; give a folder of finished cells"),
        (["sweep", "--out", "sweep/view.json"], "--out: sweep/view.json would be read as a record;"),
    ],
)
def test_bad_input_is_one_line(run, tmp_path, arguments, line):
    write_experiments(tmp_path)
    done = run(tmp_path, None, "bench.dashboard", *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1
