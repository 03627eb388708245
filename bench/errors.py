"""The one exception a user's own input can raise."""


class SettingError(ValueError):
    """A setting that cannot work; shown as one line, `setting: what is wrong; what to do`, without a traceback.

    It is raised before any work starts, or else nothing is left half-written.
    """

    def __init__(self, setting: str, problem: str):
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
