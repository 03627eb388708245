"""Train one cell on several devices: rank 0 is the process of the cell and starts one process per further rank."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning.plugins.environments import LightningEnvironment

from bench.core.cpu_threads import user_chose_threads

FOLLOWER = "bench.training.ddp_worker"  # module that a follower runs


class LocalRank(LightningEnvironment):
    """Rank of a process on this machine, one process per device, all started by `start_followers`.

    Lightning would start further processes by the command line, which in a sweep is not this cell's, and under Slurm
    would look for tasks that a cell does not have.
    """

    creates_processes_externally = True

    def __init__(self, rank: int = 0, port: int = -1):
        super().__init__()
        self.rank, self._main_port = rank, port

    def local_rank(self) -> int:
        return self.rank


@contextmanager
def start_followers(config: dict[str, Any], world: int, port: int) -> Iterator[None]:
    """Run ranks 1 and up during the block, with an equal share of the CPU threads each; if rank 0 fails, end them."""
    threads, share = torch.get_num_threads(), threads_per_rank(world)
    command = [sys.executable, "-m", FOLLOWER, str(port)]
    how: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "text": True,
        "start_new_session": True,  # Ctrl-C reaches rank 0 alone
        "env": {**os.environ, "OMP_NUM_THREADS": str(share)},
    }
    processes = [subprocess.Popen([*command, str(rank)], **how) for rank in range(1, world)]
    torch.set_num_threads(share)
    try:
        for process in processes:
            with process.stdin as pipe:
                json.dump(config, pipe)
        yield
    except BaseException:
        for process in processes:
            process.kill()
        raise
    finally:
        for process in processes:
            process.wait()
        torch.set_num_threads(threads)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # the sweep's next cell has other followers


def threads_per_rank(world: int) -> int:
    """Return the CPU threads of each of `world` processes: an equal share of this process's, or the user's number."""
    threads = torch.get_num_threads()
    return threads if user_chose_threads() else max(1, threads // world)
