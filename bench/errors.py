"""What a user's own settings can lead to."""


class SettingError(ValueError):
    """A setting that cannot work; shown as one line, `setting: what is wrong; what to do`, without a traceback.

    It is raised before any work starts, or else nothing is left half-written.
    """

    def __init__(self, setting: str, problem: str):
        super().__init__(f"{setting}: {problem}")
        self.setting = setting


class Diverged(ArithmeticError):
    """Training has led to losses or scores that are no numbers."""
