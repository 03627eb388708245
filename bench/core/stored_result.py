"""Base of every file of results: how records and cost ledgers are written, read back and found finished."""

import dataclasses
import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import pydantic

from bench.core.errors import SettingError
from bench.core.files import write_atomically
from bench.core.history import current

REMEDY = "move the file away, or run its job again with force=true"


def json_path(stem: Path) -> Path:
    """Return the path of the JSON file with this stem; a stem may hold dots, as in `smollm2-1.7B`."""
    return stem.with_name(f"{stem.name}.json")


def trace_path(stem: Path) -> Path:
    """Return the path of the traceback that a failed job of this stem leaves."""
    return stem.parent / "logs" / f"{stem.name}.txt"


def json_files(folders: Iterable[Path]) -> list[Path]:
    """Return the JSON files in the folders and in their direct subfolders; deeper folders hold the files of loggers."""
    return sorted({path for folder in folders for depth in ("*.json", "*/*.json") for path in folder.glob(depth)})


class StoredResult:
    """One result in one JSON file. A subclass is a frozen dataclass with (at least) the fields annotated here."""

    noun: ClassVar[str]  # "record" or "ledger", for messages

    config: dict[str, Any]  # resolved configuration of the job
    status: str  # ok, or the kind of failure
    reason: str | None  # of a status that is not ok, one line
    finished_at: str | None  # ISO 8601, UTC
    schema: int  # the class's default is the only schema that it reads

    def json(self) -> str:
        """Return the content of the result's file.

        Raises:
            ValueError: a figure is not finite.
        """
        return json.dumps(dataclasses.asdict(self.without_secrets()), indent=1, allow_nan=False)

    def without_secrets(self) -> Self:
        """Return the result with secrets removed from messages of other libraries; a subclass says which fields."""
        return self

    def write(self, stem: Path) -> Path:
        """Write `stem`.json, whole or not at all."""
        text = self.json()
        return write_atomically(json_path(stem), lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read one JSON file; names of earlier versions in its configuration become the names of today.

        Raises:
            SettingError: the file holds no result of this class, or one of another schema.
        """
        try:
            return cls.parse(path.read_text(encoding="utf-8"), path)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(str(path), f"cannot be read ({error}); {REMEDY}") from None

    @classmethod
    def parse(cls, text: str, path: Path) -> Self:
        """Parse JSON whose every field has its declared type.

        Args:
            path: the file that an error names.

        Raises:
            SettingError: the text is no result of this class, or one of another schema.
        """
        try:
            schema = json.loads(text)["schema"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            problem = f"is not a {cls.noun} ({type(error).__name__}: {error}); {REMEDY}"
            raise SettingError(str(path), problem) from None
        if schema != cls.schema:
            newer = isinstance(schema, int) and schema > cls.schema
            remedy = "run its job again with force=true"
            remedy = "update this program, or give another results_dir" if newer else remedy
            raise SettingError(str(path), f"has schema {schema}, this version reads {cls.schema}; {remedy}")
        try:
            result = adapter(cls).validate_json(text, strict=True)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise SettingError(str(path), f"is not a {cls.noun} ({where}: {first['msg']}); {REMEDY}") from None
        return dataclasses.replace(result, config=current(result.config))

    def check_name(self, path: Path) -> None:
        """Check that the result belongs in the file; a subclass whose file name depends on its settings overrides this.

        Raises:
            SettingError: the file name belongs to other settings.
        """

    @classmethod
    def finished(cls, path: Path) -> bool:
        """True if the file holds the result of a job that succeeded, so that the job need not run again.

        Raises:
            SettingError: the file holds no such result, or that of other settings.
        """
        if not path.is_file():
            return False
        result = cls.read(path)
        result.check_name(path)
        return result.status == "ok"

    @classmethod
    def replaceable(cls, path: Path) -> bool:
        """True if a failure may be written there: no file exists, or an earlier failure of the same job."""
        try:
            return not cls.finished(path)
        except SettingError:
            return False


@functools.cache
def adapter(kind: type[StoredResult]) -> pydantic.TypeAdapter[Any]:
    """Return the validator of a result's fields."""
    return pydantic.TypeAdapter(kind)
