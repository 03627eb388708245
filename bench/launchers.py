"""Where a sweep's cells can run, and what has to be installed for it."""

from importlib.metadata import PackageNotFoundError, version

from bench.errors import SettingError

PLUGINS = {  # hydra/launcher: package, and the extra of ours that brings it
    "slurm": ("hydra-submitit-launcher", "cluster"),
    "joblib": ("hydra-joblib-launcher", "cluster"),
    "ray": ("hydra-ray-launcher", "ray"),
}


def check_launcher(arguments: list[str]) -> None:
    """Hydra answers a launcher whose plugin is missing with a page that names no package.

    Raises:
        SettingError: it is missing; the line says how to get it.
    """
    for argument in arguments:
        group, _, choice = argument.lstrip("+").partition("=")
        if group != "hydra/launcher" or choice not in PLUGINS:
            continue
        package, extra = PLUGINS[choice]
        try:
            version(package)
        except PackageNotFoundError:
            problem = f"{choice} needs {package}, which is not installed; pip install 'head-bench[{extra}]'"
            raise SettingError("hydra/launcher", problem) from None
