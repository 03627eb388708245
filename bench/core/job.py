"""Contract of a job: the work that one configuration asks for, and the result that it leaves."""

import contextlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from hydra.utils import get_object
from omegaconf import DictConfig

from bench.core.errors import SettingError
from bench.core.history import MOVED
from bench.core.settings import Settings, quoted
from bench.core.stored_result import StoredResult, json_path

Result = TypeVar("Result", bound=StoredResult)


class Job(ABC, Generic[Result]):
    """Work that turns one configuration into one stored result. The configuration's key `job` names a subclass."""

    settings: ClassVar[type[Settings]] = Settings  # the keys that the job's configuration may hold
    result: type[Result]

    @abstractmethod
    def record_stem(self, config: dict[str, Any]) -> Path:
        """Return the path of the result of a resolved configuration, without the suffix."""

    @abstractmethod
    def run(self, cfg: DictConfig) -> Result:
        """Do the work and write the result.

        Raises:
            SettingError: settings that cannot work; nothing was written.
        """

    @abstractmethod
    def failure(self, config: dict[str, Any], error: SettingError) -> Result:
        """Return the result that stands for a job whose settings cannot work."""

    @abstractmethod
    def headline(self, result: Result) -> str:
        """Return the outcome of a job that succeeded in a few words."""

    def summary(self, result: Result) -> dict[str, str]:
        """Return the figures, by heading, that the command prints at the end of a single run."""
        return {}

    def finished(self, path: Path) -> bool:
        """True if the file holds the result of a job that succeeded.

        Raises:
            SettingError: the file holds no such result.
        """
        return self.result.finished(path)

    def outdated(self, config: dict[str, Any], path: Path) -> str:
        """Return why the job may give another result today, such as `made by other code`; empty without a reason."""
        return ""

    def log(self, config: dict[str, Any], stem: Path, result: Result) -> None:
        """Log a result that is on disk already, if the job has a logger that may lack it."""

    def failed(self, config: dict[str, Any], error: SettingError) -> Result:
        """Return the result of a job whose settings cannot work; write it unless a sound result would be replaced.

        Raises:
            SettingError: the configuration does not even identify a result.
        """
        failure, stem = self.failure(config, error), self.record_stem(config)
        self.result.parse(failure.json(), stem)
        if self.result.replaceable(json_path(stem)):
            with contextlib.suppress(SettingError):  # the error may be that the folder cannot be written
                failure.write(stem)
                self.log(config, stem, failure)
        return failure


def job_of(config: Any) -> Job[Any]:
    """Return the job that a configuration's key `job` names.

    Raises:
        SettingError: it names no job.
    """
    name = config["job"]
    try:
        kind = get_object(MOVED.get(name, name))
        if isinstance(kind, type) and issubclass(kind, Job):
            return kind()
        problem = "is not a job"
    except Exception as error:  # importing a module may raise anything
        problem = f"cannot be imported ({type(error).__name__}: {error})"
    raise SettingError("job", f"{quoted(name)} {problem}; give the class of a job, such as bench.run.CellJob")
