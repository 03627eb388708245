"""Check a command line, and compose the configuration that it asks for."""

import difflib
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig, OmegaConf

from bench.core.environment import config_dir
from bench.core.errors import SettingError
from bench.core.known_settings import unknown_choice
from bench.core.refusals import REFUSED, explain_refusal, key_of


def typed_overrides(hydra: DictConfig) -> list[str]:
    """Return the overrides of the command line as typed, with interpolations unresolved.

    Args:
        hydra: Hydra's own node of a configuration.
    """
    return OmegaConf.to_container(hydra.overrides.task, resolve=False)


def check_text(arguments: list[str]) -> None:
    """Check that the arguments are text, as Hydra writes them into files.

    Raises:
        SettingError: an argument holds NUL or bytes that are not UTF-8.
    """
    for argument in arguments:
        if re.search("[\0\ud800-\udfff]", argument):  # Python decodes a byte that is not UTF-8 as a surrogate
            raise SettingError(ascii(key_of(argument))[1:-1], "has NUL or bytes that are not UTF-8; give valid text")


def check_options(arguments: list[str]) -> None:
    """Check the options; Hydra would print its usage of twenty lines, or a traceback.

    Raises:
        SettingError: an option does not exist (the line suggests the nearest), its value is not allowed, or two options
            name different commands.
    """

    def refuse(message: str) -> NoReturn:
        raise SettingError("command line", message)

    parser = get_args_parser()
    parser.error = refuse
    known = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    options, unknown = parser.parse_known_args(arguments)
    commands = [name for name in ("run", "multirun", "cfg", "info", "shell_completion") if getattr(options, name)]
    if len(commands) > 1:
        problem = f"{' and '.join(f'--{name}' for name in commands)} exclude each other; give one"
        raise SettingError("command line", problem)
    for option in (each.partition("=")[0] for each in unknown if each.startswith("-")):
        near = difflib.get_close_matches(option, known, n=1)
        remedy = f"did you mean {near[0]}?" if near else "`python -m bench --hydra-help` lists the options"
        raise SettingError(option, f"there is no such option; {remedy}")


def quote_pattern(arguments: list[str]) -> list[str]:
    """Quote the pattern of `competitors=glob(…)` again: the shell has removed the user's quotes.

    Hydra would read the bare pattern as a sweep over the files of a group `competitors`, of which there are none.
    """
    return [re.sub(r"^(\+{0,2}competitors=)(glob\(.*\))$", r"\1'\2'", each) for each in arguments]


PLUGINS = {  # hydra/launcher -> its package, and the extra of this project that installs it
    "slurm": ("hydra-submitit-launcher", "cluster"),
    "joblib": ("hydra-joblib-launcher", "cluster"),
    "ray": ("hydra-ray-launcher", "ray"),
}


def check_launcher(arguments: list[str]) -> None:
    """Check that a launcher's plugin is installed; Hydra's own message names no package.

    Raises:
        SettingError: the plugin is missing; the line says how to install it.
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


def composed(overrides: list[str]) -> DictConfig:
    """Return the checked configuration of these overrides.

    Raises:
        SettingError: a setting that cannot work.
    """
    from bench.core.config_check import check_config  # pydantic, which a refusal of the command line does not wait for
    from bench.core.paths import plain_config

    try:
        check_text(overrides)
        check_groups(overrides)
        with initialize_config_dir(config_dir(), version_base="1.3"):
            cfg = compose("config", overrides)
        check_config(plain_config(cfg))
    except REFUSED as error:
        raise explain_refusal(error, overrides) from None
    return cfg


def check_groups(arguments: list[str]) -> None:
    """Check that each `group=choice` names a file of the configuration tree.

    Raises:
        SettingError: a choice has no file; the line lists the choices that exist.
    """
    for argument in arguments:
        group, _, choice = argument.lstrip("+").partition("=")
        folder = Path(config_dir()) / group
        if not (choice and group.isidentifier() and folder.is_dir()):
            continue
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        unknown = [each for each in choice.split(",") if each.strip() not in known]
        if unknown and not re.search(r"[($'\"]", choice):  # Hydra's own syntax: glob(…), quotes, references
            raise SettingError(group, unknown_choice(unknown[0].strip(), known))
