"""Keys that a configuration can have: fields of the models, and the suggestion for a key that does not exist."""

import difflib
import functools
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bench.core.dotted import dotted, flatten
from bench.core.environment import config_dir
from bench.core.settings import Group, Settings


def unknown_setting(key: str) -> str:
    """Return the message about a key that is not read, with the nearest key that is."""
    near = difflib.get_close_matches(key, [*known_settings(), *known_groups()], n=1, cutoff=0.8)
    remedy = f"did you mean {near[0]}?" if near and near[0] != key else "`--cfg job` lists the settings that exist"
    return f"no such setting exists for the chosen groups; {remedy}"


def unknown_choice(name: str, choices: Iterable[str]) -> str:
    """Return the message about a choice that does not exist: the nearest that does, and all."""
    every = list(choices)
    near = difflib.get_close_matches(name, every, n=1)
    remedy = f"did you mean {near[0]}? The choices are" if near else "choose one of"
    return f"there is no {name}; {remedy} {', '.join(every)}"


@functools.cache
def known_settings() -> list[str]:
    """Return the full keys of all models' fields and of all files of the configuration tree."""
    root, keys = Path(config_dir()), set(model_keys(Settings))
    for file in root.rglob("*.yaml"):
        groups = () if "@package _global_" in file.read_text() else file.relative_to(root).parts[:-1]
        keys |= flatten(OmegaConf.to_container(OmegaConf.load(file)), ".".join(groups)).keys()
    return sorted(key for key in keys if not key.startswith(("hydra", "defaults")) and "._target_" not in key)


def known_groups() -> list[str]:
    """Return the groups of the configuration tree."""
    return [folder.name for folder in Path(config_dir()).iterdir() if folder.is_dir() and folder.name != "hydra"]


def model_keys(model: type[Group], key: str = "") -> Iterator[str]:
    """Yield the full keys of a model's plain fields."""
    for name, kind in field_types(model).items():
        group = isinstance(kind, type) and issubclass(kind, Group)
        yield from model_keys(kind, dotted(key, name)) if group else [dotted(key, name)]


@functools.cache
def field_types(model: type[Group]) -> dict[str, Any]:
    """Return the type of each field of a model; an optional group has the type of the group."""
    hints = typing.get_type_hints(model, include_extras=True)
    return {name: without_none(hints[name]) for name in model.model_fields}


def without_none(kind: Any) -> Any:
    """Return Group for `Group | None`, and every other type as it is."""
    parts = typing.get_args(kind) if isinstance(kind, types.UnionType) else ()
    return next((part for part in parts if isinstance(part, type) and issubclass(part, Group)), kind)
