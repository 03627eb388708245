"""Figures and facts that a record has no field for: kind of system, budget, trunk, origin, further metrics."""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.core.history import current
from bench.core.record import Record
from bench.evaluation.metrics import value

LIMIT = "truth"  # system: the language's own distribution, where it is known

PRETRAINED = "pre-trained"  # kind of a model that has read other text: no equal data, so it competes with no system

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


def budget(config: Mapping[str, Any], text: float | None = None) -> str:
    """Return the limits that all systems of one table share; empty if the record does not say.

    Args:
        text: number of words of the training text, if it is known.
    """
    words, seconds = (config.get("budget", {}).get(unit) for unit in ("words", "seconds"))
    limit = (config.get("corpus") or {}).get("train_words")
    length = limit if text is None else int(text)
    source = ""
    if words and length and is_read_again(words, length):
        source = f" from a text of {min(length, limit or length):,}"
    elif words and text is not None and is_read_again(length, words):
        source = f" of a text of {length:,}, all of which floors count"
    data, time = words and f"{words:,} words{source}", seconds and f"{seconds:g} s of training"
    if data and time:
        return f"equal limits: {data} or {time}"
    return f"equal data: {data}" if data else f"equal time: {time}" if time else ""


def is_read_again(words: float, text: float) -> bool:
    """True if a training of `words` words reads a text of `text` words more than once; batches may end 2 % later."""
    return text < 0.98 * words


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
    """Return device, number of cells on it, and commit, as far as known; times of two origins do not compare."""
    shared = f"shared by {record.cells_at_once} cells" if (record.cells_at_once or 1) > 1 else ""
    commit = f"commit {record.git_commit[:7]}" if record.git_commit else ""
    return ", ".join(part for part in (record.device, shared, commit) if part)
