"""What Hydra and OmegaConf say about a command line, as the one line that our own errors are."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from bench.core.environment import config_dir
from bench.core.errors import BAD_INPUT, SettingError
from bench.core.settings import nothing_of, quoted

REFUSED = (SettingError, HydraException, OmegaConfBaseException)

NO_NEWS = re.compile(r"(full_key|object_type|reference_type|See https?:)")  # lines that say nothing to a user


def explain_refusal(error: BaseException, arguments: list[str]) -> SettingError:
    """The same error, by the key that it is about."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    for each in chain:
        if isinstance(each, SettingError):
            return each
    setting = culprit(chain, arguments)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return SettingError(group, f"there is no {choice}; choose of {', '.join(error.options)}")
    lines = [line.strip() for each in chain for line in str(each).splitlines()]
    said = "; ".join(dict.fromkeys(line for line in lines if line and not NO_NEWS.match(line)))
    if said.startswith("Could not override") and "defaults list" not in said:
        said = nothing_of(setting)
    if isinstance(error, OverrideParseException):
        said = f"Hydra cannot read {quoted(error.override)}; put a value that is not plain in quotes, {setting}='…'"
    return SettingError(setting, said)


def culprit(chain: list[BaseException], arguments: list[str]) -> str:
    """The key that Hydra, or else OmegaConf, names; or else the argument that the message quotes."""
    for each in chain:
        if isinstance(each, OverrideParseException):
            return key_of(each.override)
    said = " ".join(map(str, chain))
    keys = sorted(map(key_of, arguments), key=len, reverse=True)
    quoted = [key for key in keys if key and re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", said)]
    full = next((each.full_key for each in chain if getattr(each, "full_key", None)), None)
    return full or next(iter(quoted), None) or next(iter(keys), None) or "command line"


def key_of(argument: str) -> str:
    """`+a.b@c=1` -> a.b"""
    return re.split(r"[=@]", argument.lstrip("+~"), maxsplit=1)[0].strip() or argument


def check_text(arguments: list[str]) -> None:
    """Hydra writes the arguments down, so they have to be text.

    Raises:
        SettingError: one is not.
    """
    for argument in arguments:
        if re.search("[\0\ud800-\udfff]", argument):  # Python's sign for a byte that is not UTF-8
            raise SettingError(ascii(key_of(argument))[1:-1], "it holds NUL or bytes that are not UTF-8; give text")


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


def exit_with_refusal(error: BaseException) -> NoReturn:
    """One line, and the status of bad input."""
    print(explain_refusal(error, sys.argv[1:]), file=sys.stderr)
    sys.exit(BAD_INPUT)


def check_groups(arguments: list[str]) -> None:
    """Each `group=choice` names a file of the configuration tree.

    Raises:
        SettingError: it does not; the line lists what there is.
    """
    for argument in arguments:
        group, _, choice = argument.lstrip("+").partition("=")
        folder = Path(config_dir()) / group
        if not (choice and group.isidentifier() and folder.is_dir()):
            continue
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        unknown = [each for each in choice.split(",") if each.strip() not in known]
        if unknown and not re.search(r"[($'\"]", choice):  # Hydra's own: glob(…), quotes, references
            raise SettingError(group, f"there is no {unknown[0]}; choose of {', '.join(known)}")
