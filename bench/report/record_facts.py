"""Figures and facts that a record has no field for: kind of system, budget, trunk, origin, further metrics."""

import json
import re
from collections.abc import Mapping
from math import isnan, nan
from typing import Any

import numpy as np

from bench.core.history import current
from bench.core.record import Record, is_read_again
from bench.evaluation.metrics import value

LIMIT = "truth"  # system: the language's own distribution, where it is known

PRETRAINED = "pre-trained"  # kind of a model that has read other text: no equal data, so it competes with no system

FULL = "32-true"  # name of fp32 in Lightning

UNTRAINED = ("floor", "limit")  # kinds of systems that no training seed changes


def from_blocks(name: str, record: Record) -> float:
    """Compute a metric from the sums that a record keeps; NaN if it keeps none."""
    totals = {each: np.asarray(sum(blocks)) for each, blocks in record.blocks.items()}
    return float(value(name, totals))


def kind_of(record: Record) -> str:
    """Return classifier, regressor, floor or limit, as configured, or derived for a record without this setting.

    A model that was fine-tuned is pre-trained, whatever is configured.
    """
    system = record.config.get("system")
    settings = system if isinstance(system, Mapping) else {}
    if settings.get("pretrained"):
        return PRETRAINED
    if "kind" in settings:
        return str(settings["kind"])
    if record.system == LIMIT:
        return "limit"
    if "lr" in settings and settings["lr"] is None:  # no learning rate: no training
        return "floor"
    reads_targets = "targets" in (settings.get("head") or {})
    return "regressor" if record.is_density is False or reads_targets else "classifier"


def budget(config: Mapping[str, Any], text: float) -> str:
    """Return the limits that all systems of one table share; empty if the record does not say.

    Args:
        text: recorded number of words of the training text; NaN if it was not recorded.
    """
    words, seconds = (config.get("budget", {}).get(unit) for unit in ("words", "seconds"))
    length, source = text_length(config, text), ""
    if words and is_read_again(words, length):
        source = f" from a text of {length:,.0f}"
    elif words and is_read_again(text, words):
        source = f" of a text of {text:,.0f}, all of which floors count"
    data, time = words and f"{words:,} words{source}", seconds and f"{seconds:g} s of training"
    if data and time:
        return f"equal limits: {data} or {time}"
    return f"equal data: {data}" if data else f"equal time: {time}" if time else ""


def text_length(config: Mapping[str, Any], text: float) -> float:
    """Return the number of words of a training text: `text` if it was recorded, else at most the limit; or NaN."""
    limit = float((config.get("corpus") or {}).get("train_words") or nan)
    return limit if isnan(text) else float(np.fmin(text, limit))


def budget_order(text: str) -> tuple[str, float]:
    """Return the sorting key of a text that `budget` returned: its kind, then its limit as a number."""
    number = re.search(r"\d[\d,.]*", text)
    return text[: number.start()] if number else text, float(number.group().replace(",", "")) if number else 0.0


def trunk(record: Record) -> str:
    """Return the settings of the trunk below a head: backbone and inputs; empty for a system without a trunk.

    Heads are compared on the same trunk alone.
    """
    if record.backbone is None:
        return ""
    settings = {key: record.config.get(key) for key in ("backbone", "inputs")}
    if settings["inputs"] == "contextual":  # the trunk reads vectors; their level is a matter of targets
        vectors = record.config.get("targets") or {}
        settings["vectors"] = {key: each for key, each in vectors.items() if key != "level"}
    return json.dumps([record.backbone, current(settings)], sort_keys=True)


def origin(record: Record) -> str:
    """Return devices, precision, number of cells on them, and commit, as far as known.

    Times of two origins do not compare. The precision is that of the sweep's trainer, for floors too, so that a sweep
    has one origin; fp32, the default, is not named.
    """
    trainer = record.config.get("trainer") or {}
    devices, precision = trainer.get("devices", 1), str(trainer.get("precision", FULL))
    several = "" if devices == 1 or (isinstance(devices, list) and len(devices) == 1) else f"devices: {devices}"
    precision = "" if precision == FULL else precision
    shared = f"shared by {record.cells_at_once} cells" if (record.cells_at_once or 1) > 1 else ""
    commit = f"commit {record.git_commit[:7]}" if record.git_commit else ""
    return ", ".join(part for part in (record.device, several, precision, shared, commit) if part)
