"""Dotted keys: the full name of a setting in a group, and nested settings flattened into one level of such keys."""

from collections.abc import Mapping
from typing import Any


def dotted(key: str, name: object) -> str:
    """Return the full key of a setting in a group; the empty key is the whole configuration."""
    return f"{key}.{name}" if key else str(name)


def flatten(tree: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """Return {"a": {"b": 1}} as {"a.b": 1}; an empty mapping has no key."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        inside = dotted(key, name)
        flat |= flatten(value, inside) if isinstance(value, Mapping) else {inside: value}
    return flat
