"""SIGKILL at thirty random moments of sweeps: no finished cell is lost, and the end is that of an undisturbed one."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from factories.encoder import tiny_bert

from bench.core.record import Record
from bench.core.signals import STOPPED
from bench.data.sources.bible import kjv
from bench.verify import differences, distance

KILLS = 30
LIMIT_SECONDS = 900
SWEEP = """
+experiment=smoke system=softmax,sampled_softmax,mse,gpt2 corpus=text vocabulary.size=280,300 targets.level=token
backbone.trunk.hidden_size=32 budget.words=4000 batch.streams=4 generation.words=3 generation.prompts=[the]
logger=none trainer=cpu evaluation.validation_words=500 evaluation.test_words=500
evaluation.calibration_words=100 evaluation.search_words=3 checkpoint.seconds=0.1
""".split()
# forks take the imports over, which would else be most of what a kill hits
NURSERY = """
import json, os, sys
import torch
torch.set_num_threads(1)
import bench.run, bench.report, bench.sweep, transformers.models.bert, transformers.models.gpt2
from bench.cli import main
for line in sys.stdin:
    child = os.fork()
    if not child:
        sys.argv = ["bench", *json.loads(line)]
        main()
        sys.exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    """Starts `python -m bench …` again and again, in a fork each."""

    def __init__(self, folder: Path):
        self.log = (folder / "stderr.txt").open("w")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HEAD_BENCH_CACHE": str(folder / "cache")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY], cwd=folder, env=environment, text=True, stderr=self.log,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def start(self, *arguments: str) -> int:
        """The process's number, once it is there."""
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        return self.said()

    def said(self) -> int:
        """What the nursery says next: a number, past what its forks print."""
        while not (line := self.process.stdout.readline().strip()).lstrip("-").isdigit():
            assert self.process.poll() is None
        return int(line)


@pytest.fixture
def nursery(tmp_path):
    documents = [" ".join(kjv().words_of(words[:150])) for words in kjv().train.documents()[:20]]
    (tmp_path / "text.txt").write_text("\n\n".join(documents))
    tiny_bert(tmp_path / "bert")
    nursery = Nursery(tmp_path)
    yield nursery
    nursery.process.kill()
    nursery.process.communicate()
    nursery.log.close()


def sweep(name: str) -> list[str]:
    """Its command line; each has its own results and its own cache of vectors."""
    own = ["corpus.path=text.txt", "targets.encoder=bert", f"results_dir={name}", f"cache_dir={name}/cache"]
    return [*SWEEP, *own]


def records(folder: Path) -> dict[str, Record]:
    """By file name; a half one fails to be read."""
    return {path.name: Record.read(path) for path in (folder / "smoke").glob("*.json")}


@pytest.mark.slow
def test_thirty_kills_lose_nothing(nursery, tmp_path):
    begin = time.monotonic()
    nursery.start(*sweep("straight"))
    assert nursery.said() == 0, (tmp_path / "stderr.txt").read_text()
    took = time.monotonic() - begin
    straight = records(tmp_path / "straight")
    assert len(straight) == 8 and {record.status for record in straight.values()} == {"ok"}

    moments, kills, ended = random.Random(0), 0, 0
    while kills < KILLS or not ended:
        assert time.monotonic() - begin < LIMIT_SECONDS
        name, finished = f"killed{ended}", {}
        while True:
            child = nursery.start(*sweep(name))
            time.sleep(moments.uniform(0, took / 4))
            if kills < KILLS:
                with contextlib.suppress(ProcessLookupError):  # the sweep was faster
                    os.kill(child, signal.SIGKILL)
            status = nursery.said()
            now = records(tmp_path / name)
            assert finished.items() <= now.items()  # none is lost, none is run again
            finished = now
            if status == 0:
                break
            assert status == -signal.SIGKILL
            kills += 1
        assert finished.keys() == straight.keys()
        for file, record in finished.items():
            different = [each for each in differences(straight[file], record) if off(*each)]
            assert not different, (file, different)
        ended += 1
    print(f"{kills} kills over {ended} sweeps of {len(straight)} cells")
    assert not list(tmp_path.glob("killed*/smoke/weights/*.ckpt"))


def off(name: str, one: object, other: object) -> bool:
    """The allocator counts a few bytes more or less in a process with another past."""
    return name != "peak_mib" or distance(one, other) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_sweep_in_its_own_status_and_the_same_command_goes_on(nursery, tmp_path, number):
    child = nursery.start(*sweep("stopped"))
    while not list(tmp_path.glob("stopped/smoke/weights/*.ckpt")):
        time.sleep(0.01)
    os.kill(child, number)
    assert nursery.said() == STOPPED
    last = (tmp_path / "stderr.txt").read_text().strip().splitlines()[-1]
    assert last == f"stopped by {number.name}; the same command continues from here"
    assert not [record for record in records(tmp_path / "stopped").values() if record.status != "ok"]
    nursery.start(*sweep("stopped"))
    assert nursery.said() == 0
    assert len(records(tmp_path / "stopped")) == 8
