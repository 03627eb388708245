"""What Hydra and OmegaConf say about a command line, as the one line that our own errors are."""

import re

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from bench.errors import SettingError
from bench.settings import nothing_of, shown

REFUSED = (SettingError, HydraException, OmegaConfBaseException)
NO_NEWS = re.compile(r"(full_key|object_type|reference_type|See https?:)")  # lines that say nothing to a user


def refusal(error: BaseException, arguments: list[str]) -> SettingError:
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
        said = f"Hydra cannot read {shown(error.override)}; put a value that is not plain in quotes, {setting}='…'"
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
