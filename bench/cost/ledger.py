"""Base of the cost ledgers: the fields that every ledger has beside its rows. A subclass is a kind of ledger."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from bench.core import provenance
from bench.core.history import ADDED
from bench.core.identity import short_hash
from bench.core.paths import folder_name
from bench.core.secrets import scrub
from bench.core.stored_result import StoredResult

BASELINE = "peer:"  # prefix of the names of other libraries' contenders


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """Row of one contender; a subclass adds the figures. A span is [p20, p50, p80] over interleaved rounds.

    A figure that was not measured is None.
    """

    contender: str  # the name of a system, or BASELINE and another library's
    status: str = "ok"  # ok | slow (cut off, or not tried) | missing (package or device) | oom | diverged | failed
    reason: str | None = None  # of a status that is not ok, one line


@dataclass(frozen=True, kw_only=True)
class Ledger(StoredResult):
    """All contenders whose rounds were interleaved in one process.

    A subclass sets `prefix`, adds the field `kind` with its name, narrows the type of `rows`, and raises `schema`
    when files of its earlier schema cannot be read. A field that this version does not know is left out.
    """

    noun: ClassVar[str] = "ledger"
    prefix: ClassVar[str]  # of the file name, before the digest

    experiment: str
    device: str
    precision: str
    threads: int
    rounds: int
    rows: Sequence[LedgerRow]
    config: dict[str, Any]
    versions: dict[str, str]
    git_commit: str | None
    finished_at: str  # ISO 8601, UTC
    schema: int = 1

    @property
    def status(self) -> str:
        """`failed` if a row has this status, else `ok`: oom, diverged, slow and missing are results, not errors."""
        return "failed" if any(row.status == "failed" for row in self.rows) else "ok"

    @property
    def reason(self) -> str | None:
        """Reasons of all failed rows in one line; None if no row failed."""
        return "; ".join(f"{row.contender}: {row.reason}" for row in self.rows if row.status == "failed") or None

    @property
    def measured(self) -> str:
        """Number of sound rows and of all rows, as in `3 of 4`."""
        return f"{sum(row.status == 'ok' for row in self.rows)} of {len(self.rows)}"

    def without_secrets(self) -> Self:
        """Return the ledger with secrets removed from its rows' reasons, which may quote another library's error."""
        rows = [dataclasses.replace(row, reason=row.reason and scrub(row.reason)) for row in self.rows]
        return dataclasses.replace(self, rows=rows)


def ledger_stem(config: dict[str, Any], prefix: str, kept: dict[str, Any], added: dict[str, Any] = ADDED) -> Path:
    """Return the path of a configuration's ledger, without the suffix.

    Args:
        kept: all settings that the ledger's figures depend on.
    """
    return Path(config["results_dir"]) / folder_name(config["experiment_name"]) / f"{prefix}-{short_hash(kept, added)}"


def timed_on(device: str) -> dict[str, Any]:
    """Return the fields of a ledger that name the machine: the device, and the number of CPU threads.

    Args:
        device: `cpu` or `cuda`.
    """
    import torch  # here: the report reads ledgers without it

    name = torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else provenance.cpu_name()
    return {"device": name, "threads": torch.get_num_threads()}


def ledger_header(config: dict[str, Any], *, device: str, precision: str, rounds: int) -> dict[str, Any]:
    """Return the fields that every ledger has beside its rows.

    Args:
        device: `cpu` or `cuda`; the ledger holds the name of that device.
        precision: precision of the computation.
    """
    return {
        "experiment": config["experiment_name"],
        **timed_on(device),
        "precision": precision,
        "rounds": rounds,
        "config": config,
        "versions": provenance.installed_versions(),
        "git_commit": provenance.git_commit(),
        "finished_at": provenance.now(),
    }


def measured_elsewhere(ledger: Ledger, device: str) -> str:
    """Return a reason to measure again if the times are those of another machine or number of threads; else empty.

    Args:
        device: `cpu` or `cuda`, of the configuration.
    """
    here = timed_on(device)
    if (ledger.device, ledger.threads) == (here["device"], here["threads"]):
        return ""
    return f"measured on {ledger.device} with {ledger.threads} threads"


def is_baseline(contender: str) -> bool:
    """True if another library's contender has this name."""
    return contender.startswith(BASELINE)
