"""Sweeps through Slurm outlive their jobs: submitit alone gives up the whole sweep when one is killed."""

import shutil
import sys
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.slurm import slurm

from bench.core.errors import BAD_INPUT
from bench.core.progress import print_line

POLL_SECONDS = 30  # at most this long after its end a job without a result is known to be dead

ENDED = frozenset(
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED FORGOTTEN NODE_FAIL OUT_OF_MEMORY REVOKED TIMEOUT".split()
)


class Queue(slurm.SlurmInfoWatcher):
    """Asks squeue, which every cluster answers; submitit's sacct never does where Slurm keeps no accounts."""

    def _make_command(self) -> list[str] | None:
        pending = self._registered - self._finished
        return ["squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i|%T"] if pending else None

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """A job that the queue has forgotten is as good as dead."""
        listed = dict(line.split("|") for line in (string if isinstance(string, str) else string.decode()).split())
        return {job: {"State": listed.get(job, "FORGOTTEN")} for job in self._registered - self._finished}

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """submitit takes a job that is suspended, or whose node is being switched on, for one that has ended."""
        return self.get_state(job_id, mode=mode) in ENDED


class Job(slurm.SlurmJob):
    """A cell's job; one that dies costs its own cell alone."""

    watcher = Queue(delay_s=POLL_SECONDS)

    def results(self) -> list[JobReturn]:
        """What the job returned, or, where it failed or left nothing, an empty return: its cell then has no record."""
        try:
            [returned] = super().results()
            if returned.status == JobStatus.COMPLETED:
                return [returned]
            end = f"failed: {returned._return_value!r}"  # Hydra's property would raise it
        except (UncompletedJobError, FailedJobError):
            end = f"ended without a result: {self.state}"
        overrides, *_ = self.submission().args
        line = f"job {self.job_id} ({' '.join(overrides)}) {end}; see {self.paths.stderr}"
        print_line(line)
        return [JobReturn(_return_value=None, status=JobStatus.COMPLETED)]


class SlurmExecutor(slurm.SlurmExecutor):
    """Leaves the last word to sbatch, whose own lines stand above ours. submitit goes by the class's name."""

    job_class = Job

    def _submit_command(self, command: str) -> slurm.SlurmJob:
        try:
            return super()._submit_command(command)
        except FailedJobError:
            print("hydra.launcher: Slurm takes no such job; ask for what sinfo lists", file=sys.stderr)
            sys.exit(BAD_INPUT)


class SlurmCallback(Callback):
    """Part of hydra/launcher=slurm."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Let submitit make our jobs, whether single or in an array."""
        if shutil.which("sbatch") is None:
            print("hydra/launcher: there is no sbatch here; sweep from a node of a Slurm cluster", file=sys.stderr)
            sys.exit(BAD_INPUT)
        slurm.SlurmJob, slurm.SlurmExecutor = Job, SlurmExecutor
