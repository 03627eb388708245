"""What every cost ledger says beside its rows, and how its file is written and read: a subclass is a kind of file."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pydantic

from bench.core.errors import SettingError
from bench.core.files import write_atomically
from bench.core.history import ADDED, current
from bench.core.identity import short_hash


@dataclass(frozen=True, kw_only=True)
class Line:
    """One contender; a kind adds its figures. A span is [p20, p50, p80] over interleaved rounds; None: not measured."""

    contender: str  # a name of ours, or `peer:…`
    status: str = "ok"  # ok | oom | slow (cut off, or not tried) | failed | missing (a package or a device)
    reason: str | None = None  # of a status that is not ok, one line


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """One file: all contenders that took turns in one process.

    A kind sets `begins`, narrows the type of `rows`, and raises `schema` when its old files can no more be read.
    """

    begins: ClassVar[str]  # a file's name, before its digest

    experiment: str
    device: str
    precision: str
    threads: int
    rounds: int
    rows: list[Line]
    config: dict[str, Any]
    versions: dict[str, str]
    git_commit: str | None
    finished_at: str  # ISO 8601, UTC
    schema: int = 1

    @property
    def status(self) -> str:
        """`failed` where a row is: what is out of memory or missing is a finding."""
        return "failed" if any(row.status == "failed" for row in self.rows) else "ok"

    @property
    def reason(self) -> str | None:
        """Of all failed rows, one line."""
        return "; ".join(f"{row.contender}: {row.reason}" for row in self.rows if row.status == "failed") or None

    @property
    def measured(self) -> str:
        """How many rows are sound, of how many."""
        return f"{sum(row.status == 'ok' for row in self.rows)} of {len(self.rows)}"

    def write(self, stem: Path) -> Path:
        """`stem`.json, whole or not at all."""
        text = json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False)
        return write_atomically(stem.with_name(f"{stem.name}.json"), lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, path: Path) -> Self:
        """One JSON file -> its ledger; what this version no more reads of it is left out.

        Raises:
            SettingError: the file is no ledger of this kind, or one of another schema.
        """
        try:
            text = path.read_text()
            schema = json.loads(text)["schema"]
            if schema == cls.schema:
                ledger = pydantic.TypeAdapter(cls).validate_json(text, strict=True)
                return dataclasses.replace(ledger, config=current(ledger.config))
            problem = f"has schema {schema}, this version reads {cls.schema}; run it again"
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            problem = f"is not a ledger ({'.'.join(map(str, first['loc']))}: {first['msg']}); {AGAIN}"
        except (ValueError, KeyError, TypeError) as error:
            problem = f"is not a ledger ({type(error).__name__}: {error}); {AGAIN}"
        raise SettingError(str(path), problem)

    @classmethod
    def finished(cls, path: Path) -> bool:
        """Need this job not run again?"""
        return path.is_file() and cls.read(path).status == "ok"


AGAIN = "delete it and run the job again"


def stem(config: dict[str, Any], begins: str, kept: dict[str, Any], added: dict[str, Any] = ADDED) -> Path:
    """Where a configuration's ledger stands, without the suffix.

    Args:
        kept: all that its figures hang on.
    """
    return Path(config["results_dir"]) / config["experiment_name"] / f"{begins}-{short_hash(kept, added)}"
