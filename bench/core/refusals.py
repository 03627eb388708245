"""Put what Hydra and OmegaConf say about a command line into one line, and exit with it."""

import contextlib
import re
import shlex
import sys
from collections.abc import Iterator
from typing import NoReturn

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
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
