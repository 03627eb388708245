"""Errors that settings can cause, exit statuses, and how an error becomes one line."""

from hydra.errors import InstantiationException

LONGEST = 600  # characters of an error line


class SettingError(ValueError):
    """A setting that cannot work; shown as one line, `setting: what is wrong; what to do`, without a traceback.

    The error is raised before any work starts, or leaves nothing half-written.
    """

    def __init__(self, setting: str, problem: str):
        line = " ".join(f"{setting}: {problem}".split())
        super().__init__(line if len(line) <= LONGEST else line[: LONGEST - 1] + "…")
        self.setting = setting


class Diverged(ArithmeticError):
    """A loss or a score is not a finite number."""


BAD_INPUT, FAILED = 2, 1

EXHAUSTED = (
    "can't allocate memory",
    "bad_alloc",
    "_ALLOC_FAILED",
)  # messages of torch, C++, cuBLAS and cuDNN


def unwrap(error: Exception) -> Exception:
    """Return the original error if Hydra has wrapped an error of an object that it builds."""
    return error.__cause__ or error if isinstance(error, InstantiationException) else error


def status_of(error: Exception) -> str | None:
    """Return the status of a failure for a record; None for a setting that the user has to fix."""
    if isinstance(error, SettingError):
        return None
    if isinstance(error, Diverged):
        return "diverged"
    import torch  # heavy: `--help` must not load it

    exhausted = isinstance(error, torch.OutOfMemoryError | MemoryError) or any(each in str(error) for each in EXHAUSTED)
    return "oom" if exhausted else "failed"


def one_line(error: Exception) -> str:
    """Return type and first line of an exception's message."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
