"""Check a command line, and put what Hydra and OmegaConf say about it into one line."""

import contextlib
import difflib
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.core.environment import config_dir
from bench.core.errors import BAD_INPUT, SettingError, unwrap
from bench.core.known_settings import unknown_choice, unknown_setting
from bench.core.settings import quoted

REFUSED = (SettingError, HydraException, OmegaConfBaseException)

NOISE = re.compile(r"(full_key|object_type|reference_type|See https?:)")  # lines of Hydra that tell a user nothing


def explain_refusal(error: BaseException, arguments: list[str]) -> SettingError:
    """Return an error of Hydra or OmegaConf as one line that begins with the key at fault."""
    if "add --multirun" in str(error):
        error = error_beside_commas(arguments) or error
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    for each in chain:
        if isinstance(each, SettingError):
            return each
    setting = key_at_fault(chain, arguments)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return SettingError(group, unknown_choice(choice, error.options))
    lines = [line.strip() for each in chain for line in str(each).splitlines()]
    message = "; ".join(dict.fromkeys(line for line in lines if line and not NOISE.match(line)))
    if message.startswith("Could not override") and "defaults list" not in message:
        message = unknown_setting(setting)
    if isinstance(error, OverrideParseException):
        message = f"Hydra cannot read {quoted(error.override)}; {quoting_advice(error.override)}"
    return SettingError(setting, message)


def error_beside_commas(arguments: list[str]) -> BaseException | None:
    """Return the error that the command line has even without its sweeps; None if it has no other.

    Hydra composes a command line with commas before it knows that the experiment is a sweep. Another error, such as a
    misspelt key, then makes it complain about the commas.
    """
    overrides = [argument for argument in arguments if "=" in argument.lstrip("-") and not argument.startswith("-")]
    try:
        with initialize_config_dir(config_dir(), version_base="1.3"):
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            parsed = parser.parse_overrides(overrides)
            first = [
                f"{each.get_key_element()}={next(each.sweep_string_iterator())}"
                if each.is_sweep_override()
                else each.input_line
                for each in parsed
            ]
            compose("config", first, return_hydra_config=True)
    except REFUSED as error:
        return error
    return None


def quoting_advice(argument: str) -> str:
    """Return how to type an argument that Hydra cannot read: with its value in quotes that the shell leaves alone."""
    key, separator, value = argument.partition("=")
    typed = f"{key}{separator}{in_quotes(value)}"
    try:
        readable = OverridesParser.create().parse_override(typed).value() == value
    except HydraException:
        readable = False
    line = shlex.quote(typed)
    if readable and " ".join(line.split()) == line:  # an error message joins white space
        return f"type {line}"
    return "give key=value, with a key of letters, digits, - and _"


def in_quotes(value: str) -> str:
    """Return a value in the quotes of Hydra's grammar, in which any character stands for itself."""
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f'"{escaped}{trailing * chr(92)}"'


def key_at_fault(chain: list[BaseException], arguments: list[str]) -> str:
    """Return the key that Hydra or OmegaConf names, or else the key of the argument that the message quotes."""
    for each in chain:
        if isinstance(each, OverrideParseException):
            return key_of(each.override)
    message = " ".join(map(str, chain))
    keys = sorted(map(key_of, arguments), key=len, reverse=True)
    named = [key for key in keys if key and re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", message)]
    full = next((each.full_key for each in chain if getattr(each, "full_key", None)), None)
    return full or next(iter(named), None) or next(iter(keys), None) or "command line"


def key_of(argument: str) -> str:
    """Return the key of an argument: `+a.b@c=1` -> a.b"""
    return re.split(r"[=@]", argument.lstrip("+~"), maxsplit=1)[0].strip() or argument


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
    """Check the options; Hydra would print its usage of twenty lines.

    Raises:
        SettingError: an option does not exist, and the line suggests the nearest; or its value does not.
    """

    def refuse(message: str) -> NoReturn:
        raise SettingError("command line", message)

    parser = get_args_parser()
    parser.error = refuse
    known = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    _, unknown = parser.parse_known_args(arguments)
    for option in (each.partition("=")[0] for each in unknown if each.startswith("-")):
        near = difflib.get_close_matches(option, known, n=1)
        remedy = f"did you mean {near[0]}?" if near else "`python -m bench --help` lists what there is"
        raise SettingError(option, f"there is no such option; {remedy}")


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


def exit_with_refusal(error: BaseException) -> NoReturn:
    """Print one line about bad input, and exit with its status."""
    print(explain_refusal(error, sys.argv[1:]), file=sys.stderr)
    sys.exit(BAD_INPUT)


@contextlib.contextmanager
def exiting_on_refusal() -> Iterator[None]:
    """Exit with one line on bad input; another error in an object that Hydra builds keeps its traceback."""
    try:
        yield
    except REFUSED as error:
        if isinstance(error, InstantiationException) and not isinstance(unwrap(error), SettingError):
            raise
        exit_with_refusal(error)


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
