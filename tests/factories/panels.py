"""Panels in the specification of a workspace or report, and the names that each asks the runs for."""

from collections.abc import Iterator
from typing import Any


def panels(part: Any) -> Iterator[dict[str, Any]]:
    """Yield every panel below a part of a specification."""
    if isinstance(part, dict):
        if "viewType" in part:
            yield part
        for each in part.values():
            yield from panels(each)
    if isinstance(part, list):
        for each in part:
            yield from panels(each)


def names_of(panel: dict[str, Any]) -> set[str]:
    """Return the names of figures, tables and pictures that a panel asks the runs for."""
    config, kind = panel["config"], panel["viewType"]
    if kind == "Run History Line Plot":
        return {*config["metrics"], config["xAxis"]}
    if kind == "Scatter Plot":
        return {config[axis].removeprefix("summary:") for axis in ("xAxis", "yAxis")}
    if kind == "Bar Chart":
        return {*config["metrics"]}
    if kind == "Vega2":
        return {chart_table(panel)}
    if kind == "Media Browser":
        return {*config["mediaKeys"]}
    if kind == "Weave":
        return set(json_strings(config, "key"))
    assert kind == "Markdown Panel", kind
    return set()


def chart_table(panel: dict[str, Any]) -> str:
    """Return the key of the table that a chart draws."""
    (query,) = panel["config"]["userQuery"]["queryFields"]
    (table,) = [each for each in query["fields"] if each["name"] == "summaryTable"]
    return table["args"][0]["value"]


def json_strings(part: Any, wanted: str) -> Iterator[str]:
    """Yield the constants of the inputs with a name in a query of W&B's panel language."""
    if isinstance(part, dict):
        if wanted in part and isinstance(part[wanted], dict) and "val" in part[wanted]:
            yield part[wanted]["val"]
        for each in part.values():
            yield from json_strings(each, wanted)
    if isinstance(part, list):
        for each in part:
            yield from json_strings(each, wanted)
