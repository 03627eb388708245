"""Flattening of nested settings."""

from bench.core.dotted import flatten


def test_flatten_joins_keys_by_dots_and_keeps_values():
    assert flatten({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None, "f": {}}) == {"a.b.c": 1, "a.d": [1, 2], "e": None}
