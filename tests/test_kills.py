"""SIGKILL at thirty random moments of sweeps: no finished cell is lost, and records equal those without kills."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories.encoder import tiny_bert

from bench.core.record import Record
from bench.core.signals import STOPPED
from bench.data.sources.bible import kjv
from bench.verify import differences, distance

KILLS = 30
KINDS = ("system=softmax,mse,gpt2", "vocabulary.size=300")
SIZES = ("system=softmax", "vocabulary.size=280,300")
LIMIT_SECONDS = 900
SWEEP = """
+experiment=smoke corpus=text targets.level=token
backbone.trunk.hidden_size=32 budget.words=4000 batch.streams=4 generation.words=3 generation.prompts=[the]
logger=none trainer=cpu evaluation.validation_words=500 evaluation.test_words=500
evaluation.calibration_words=100 evaluation.search_words=3 checkpoint.seconds=0.1
""".split()
# forks share the imports; without forks most kills would hit an import
FORK_SERVER = """
import json, os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import bench.run, bench.report, bench.sweep, transformers.models.bert, transformers.models.gpt2
from bench.cli import main
sys.path.append(sys.argv[1])
from factories.charts import shared_charts
bench.report.page_script.charts = shared_charts(Path(sys.argv[2]))
for line in sys.stdin:
    child = os.fork()
    if not child:
        sys.argv = ["bench", *json.loads(line)]
        main()
        sys.exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class ForkServer:
    """Process that runs each command `python -m bench …` in a fork."""

    def __init__(self, folder: Path, shared: Path):
        self.log = (folder / "stderr.txt").open("w")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HEAD_BENCH_CACHE": str(folder / "cache")}
        command = [sys.executable, "-c", FORK_SERVER, str(Path(__file__).parent), str(shared)]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stderr=self.log,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def start(self, *arguments: str) -> int:
        """Start a command; return the process id of its fork."""
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        return self.next_number()

    def next_number(self) -> int:
        """Return the next number that the server prints, a process id or an exit status; skip output of the forks."""
        while not (line := self.process.stdout.readline().strip()).lstrip("-").isdigit():
            assert self.process.poll() is None
        return int(line)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A user's folder with a text and a small BERT."""
    folder = tmp_path_factory.mktemp("user")
    documents = [" ".join(kjv().words_of(words[:150])) for words in kjv().train.documents()[:20]]
    (folder / "text.txt").write_text("\n\n".join(documents))
    tiny_bert(folder / "bert")
    return folder


@pytest.fixture(scope="module")
def server(folder, shared) -> Iterator[ForkServer]:
    server = ForkServer(folder, shared)
    yield server
    server.process.kill()
    server.process.communicate()
    server.log.close()


def sweep(name: str, *cells: str) -> list[str]:
    """Return the command line of a sweep with separate results and a separate cache of vectors."""
    own = ["corpus.path=text.txt", "targets.encoder=bert", f"results_dir={name}", f"cache_dir={name}/cache"]
    return [*SWEEP, *cells, *own]


def records(folder: Path) -> dict[str, Record]:
    """Read all records, by file name; an incomplete file raises."""
    return {path.name: Record.read(path) for path in (folder / "smoke").glob("*.json")}


@pytest.mark.slow
def test_sweeps_lose_no_cell_over_thirty_kills(server, folder):
    begin = time.monotonic()
    server.start(*sweep("straight", *KINDS))
    assert server.next_number() == 0, (folder / "stderr.txt").read_text()
    sweep_seconds = time.monotonic() - begin
    straight = records(folder / "straight")
    assert len(straight) == 3 and {record.status for record in straight.values()} == {"ok"}

    moments, kills, ended = random.Random(0), 0, 0
    while kills < KILLS or not ended:
        assert time.monotonic() - begin < LIMIT_SECONDS
        name, finished = f"killed{ended}", {}
        while True:
            child = server.start(*sweep(name, *KINDS))
            time.sleep(moments.uniform(0, sweep_seconds / 4))
            if kills < KILLS:
                with contextlib.suppress(ProcessLookupError):  # the sweep has ended already
                    os.kill(child, signal.SIGKILL)
            status = server.next_number()
            current = records(folder / name)
            assert finished.items() <= current.items()  # no record is lost, no cell runs again
            finished = current
            if status == 0:
                break
            assert status == -signal.SIGKILL
            kills += 1
        assert finished.keys() == straight.keys()
        for file, record in finished.items():
            different = [field for field in differences(straight[file], record) if is_relevant(*field)]
            assert not different, (file, different)
        ended += 1
    print(f"{kills} kills over {ended} sweeps of {len(straight)} cells")
    assert not list(folder.glob("killed*/smoke/weights/*.ckpt"))


def is_relevant(name: str, one: object, other: object) -> bool:
    """Return False for a difference of peak memory below 1 %: the allocator differs by a few bytes after a resume."""
    return name != "peak_mib" or distance(one, other) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_sweep_with_its_status_and_same_command_continues(server, folder, number):
    stopped = folder / f"stopped{number.value}"
    child = server.start(*sweep(stopped.name, *SIZES))
    while not list(stopped.glob("smoke/weights/*.ckpt")):
        time.sleep(0.01)
    os.kill(child, number)
    assert server.next_number() == STOPPED
    last = (folder / "stderr.txt").read_text().strip().splitlines()[-1]
    assert last == f"stopped by {number.name}; the same command continues from here"
    assert not [record for record in records(stopped).values() if record.status != "ok"]
    server.start(*sweep(stopped.name, *SIZES))
    assert server.next_number() == 0
    assert len(records(stopped)) == 2
