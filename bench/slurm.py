"""Submitit with two changes: a job that is killed fails its own cell, not the sweep; squeue tells what has ended."""

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

POLL_SECONDS = 30  # interval of squeue; the end of a job without a result is noticed after this time at most

ENDED = frozenset(
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED FORGOTTEN NODE_FAIL OUT_OF_MEMORY REVOKED TIMEOUT".split()
)


class SqueueWatcher(slurm.SlurmInfoWatcher):
    """States of jobs from squeue, which works on every cluster; submitit's sacct needs Slurm's accounting."""

    def _make_command(self) -> list[str] | None:
        pending = self._registered - self._finished
        return ["squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i|%T"] if pending else None

    absent: frozenset[str] = frozenset()  # registered jobs that the last answer did not list

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """Return the states of registered jobs; a job that two answers in a row do not list is FORGOTTEN.

        One answer may be empty, when Slurm's controller starts again, or hold a line of another kind.
        """
        lines = (string if isinstance(string, str) else string.decode()).split()
        pending, listed = self._registered - self._finished, dict(line.split("|", 1) for line in lines if "|" in line)
        absent = frozenset(pending - listed.keys())
        states = {job: listed[job] for job in pending & listed.keys()} | dict.fromkeys(
            absent & self.absent, "FORGOTTEN"
        )
        self.absent = absent
        return {job: {"State": state} for job, state in states.items()}

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """True if the job has ended. Submitit also counts a suspended job, and one whose node is being switched on."""
        return self.get_state(job_id, mode=mode) in ENDED


class CellSlurmJob(slurm.SlurmJob):
    """A Slurm job that runs one cell; if it dies, its own cell alone fails."""

    watcher = SqueueWatcher(delay_s=POLL_SECONDS)

    def results(self) -> list[JobReturn]:
        """Return the job's result; an empty result if the job failed or left none, and its cell then has no record.

        Raises:
            KeyboardInterrupt: Ctrl-C; a line has said how to cancel the jobs, which continue.
        """
        try:
            [returned] = super().results()
            if returned.status == JobStatus.COMPLETED:
                return [returned]
            end = f"failed: {returned._return_value!r}"  # Hydra's property would raise it
        except (UncompletedJobError, FailedJobError):
            end = f"ended without a result: {self.state}"
        except KeyboardInterrupt:  # ends the wait alone; the jobs continue in Slurm
            array = self.job_id.partition("_")[0]
            print_line(
                f"the Slurm jobs of this sweep continue: cancel them by `scancel {array}`, or type the same command "
                f"for the report when `squeue --jobs={array}` lists none"
            )
            raise
        overrides, *_ = self.submission().args
        line = f"job {self.job_id} ({' '.join(overrides)}) {end}; see {self.paths.stderr}"
        print_line(line)
        return [JobReturn(_return_value=None, status=JobStatus.COMPLETED)]


class SlurmExecutor(slurm.SlurmExecutor):
    """Executor that exits with one line, below that of sbatch, if Slurm refuses a job; submitit finds it by name."""

    job_class = CellSlurmJob

    def _submit_command(self, command: str) -> slurm.SlurmJob:
        try:
            return super()._submit_command(command)
        except FailedJobError:
            print("hydra.launcher: Slurm refuses this job; ask for resources that sinfo lists", file=sys.stderr)
            sys.exit(BAD_INPUT)


class SlurmCallback(Callback):
    """Hydra callback of hydra/launcher=slurm."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a single cell: Hydra would run it on this machine, such as the login node of a cluster."""
        print("hydra/launcher: slurm submits sweeps, and this is a single cell; add -m", file=sys.stderr)
        sys.exit(BAD_INPUT)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Make submitit create the classes of this module, for single jobs and for arrays."""
        if shutil.which("sbatch") is None:
            print(
                "hydra/launcher: there is no sbatch on this machine; sweep from a node of a Slurm cluster",
                file=sys.stderr,
            )
            sys.exit(BAD_INPUT)
        slurm.SlurmJob, slurm.SlurmExecutor = CellSlurmJob, SlurmExecutor
