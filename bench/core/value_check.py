"""Check one value against one type, and find the options of a class that a `_target_` names."""

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import pydantic
from hydra.utils import get_object

from bench.core.errors import SettingError
from bench.core.settings import CHECKED, quoted


def check_value(setting: str, value: Any, kind: Any) -> None:
    """Check one value against one type by pydantic: 1 is a float, but true is no int and "1" no number.

    Raises:
        SettingError: the value is of another type or out of bounds.
    """
    try:
        pydantic.TypeAdapter(kind, config=CHECKED).validate_python(value)
    except pydantic.ValidationError as error:
        messages = (each["msg"] for each in error.errors())
        wanted = [text.removeprefix("Input should be ").removeprefix("Value error, ") for text in messages]
        null = " or null" if type(None) in typing.get_args(kind) else ""
        problem = f"{quoted(value)} is not valid; give {' or '.join(dict.fromkeys(wanted))}{null}"
        raise SettingError(setting, problem) from None
    except pydantic.errors.PydanticUserError:  # an outside class's type that pydantic does not know
        return


def find_target(setting: str, target: Any) -> Callable[..., Any]:
    """Return the class or function that a `_target_` names.

    Raises:
        SettingError: it cannot be imported, or is neither.
    """
    try:
        found = get_object(target)
    except Exception as error:  # importing a module may raise anything
        problem = f"{quoted(target)} cannot be imported ({type(error).__name__}: {error}); give package.module.Name"
        raise SettingError(setting, problem) from error
    if not callable(found):
        raise SettingError(setting, f"{target} is not a class or function; give one")
    return found


@functools.cache
def target_options(target: Callable[..., Any]) -> tuple[dict[str, Any], list[str], bool]:
    """Return the options of a callable with their types, the required ones, and whether it takes any other option."""
    try:
        parameters = inspect.signature(target).parameters
        hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except (ValueError, TypeError, NameError):  # written in C, or with types that are not imported at run time
        return {}, [], True
    kinds = {name: parameter.kind for name, parameter in parameters.items()}
    named = {
        name: hints.get(name, Any)
        for name, kind in kinds.items()
        if kind not in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD)
    }
    needed = [name for name in named if parameters[name].default is inspect.Parameter.empty]
    rest = next((hints.get(name, Any) for name, kind in kinds.items() if kind is kind.VAR_KEYWORD), None)
    if typing.get_origin(rest) is typing.Unpack:
        unpacked = typing.get_type_hints(typing.get_args(rest)[0], include_extras=True)
        return named | unpacked, [*needed, *unpacked], False
    return named, needed, rest is not None
