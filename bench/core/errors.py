"""What a user's own settings can lead to."""

from hydra.errors import InstantiationException

LONGEST = 600  # characters of a line


class SettingError(ValueError):
    """A setting that cannot work; shown as one line, `setting: what is wrong; what to do`, without a traceback.

    It is raised before any work starts, or else nothing is left half-written.
    """

    def __init__(self, setting: str, problem: str):
        line = " ".join(f"{setting}: {problem}".split())
        super().__init__(line if len(line) <= LONGEST else line[: LONGEST - 1] + "…")
        self.setting = setting


class Diverged(ArithmeticError):
    """Training has led to losses or scores that are no numbers."""


BAD_INPUT, FAILED = 2, 1

EXHAUSTED = ("can't allocate memory", "bad_alloc", "_ALLOC_FAILED")  # of torch, C++, cuBLAS and cuDNN


def unwrap(error: Exception) -> Exception:
    """Hydra wraps what the objects that it makes raise."""
    return error.__cause__ or error if isinstance(error, InstantiationException) else error


def status_of(error: Exception) -> str | None:
    """A failure that a record can hold; None for what the user has to mend first."""
    if isinstance(error, SettingError):
        return None
    if isinstance(error, Diverged):
        return "diverged"
    import torch  # heavy: `--help` must not load it

    exhausted = isinstance(error, torch.OutOfMemoryError | MemoryError) or any(each in str(error) for each in EXHAUSTED)
    return "oom" if exhausted else "failed"


def one_line(error: Exception) -> str:
    """An exception as a reader of the leaderboard may see it."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
