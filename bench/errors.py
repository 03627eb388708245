"""What a user's own settings can lead to."""

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
