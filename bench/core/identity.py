"""Name a cell after its configuration: the file stem of its record."""

import hashlib
import json
import re
from typing import Any

from bench.core.history import ADDED, published

OUTSIDE_IDENTITY = (
    "logger",
    "results_dir",
    "force",
    "cache_dir",
    "experiment_name",
    "checkpoint",
    "competitors",
    "trial",
    "job",
)  # settings that change no figure

DESCRIPTION = "kind"  # key of a system that says how the report shows it, and changes no figure either

LONGEST_PART = 60  # bytes; a file's name has 255 at most


def identity(config: dict[str, Any]) -> str:
    """A resolved configuration -> the file stem of its record: readable parts, then a hash of all that matters."""
    part = [
        config["system"]["name"],
        config["corpus"]["name"],
        f"v{config['vocabulary']['size']}",
        f"s{config['seed']}",
    ]
    kept = {key: value for key, value in config.items() if key not in OUTSIDE_IDENTITY}
    if config["inputs"] == "learned":
        del kept["targets"]  # a head that reads them has them among its own settings
    return "-".join([*map(plain, part), short_hash(kept)])


def short_hash(config: dict[str, Any], added: dict[str, Any] = ADDED) -> str:
    """Hash settings, or some of them, as first published: eight hexadecimal digits of the sha256 of sorted JSON.

    A user's text is hashed by its content and not by its path, so that it may move.
    """
    kept = published(without_description(config), added)
    if kept.get("corpus", {}).get("content_sha256"):
        kept["corpus"] = nowhere(kept["corpus"])
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def without_description(config: dict[str, Any]) -> dict[str, Any]:
    """Leave out the kind of the system, or of every system that a cost sweep measures."""
    kept = dict(config)
    if "system" in kept:
        kept["system"] = undescribed(kept["system"])
    if "systems" in kept:
        kept["systems"] = [undescribed(each) for each in kept["systems"]]
    return kept


def undescribed(system: Any) -> Any:
    """Leave out a system's kind."""
    return {key: value for key, value in system.items() if key != DESCRIPTION} if isinstance(system, dict) else system


def plain(name: object) -> str:
    """A part of a file's name: no separator, and short enough for any file system."""
    return re.sub(r"[^\w.+]", "_", str(name)).encode()[:LONGEST_PART].decode(errors="ignore")


def nowhere(corpus: dict[str, Any]) -> dict[str, Any]:
    """A user's text by its content alone: it may move, and be named from another folder."""
    rest = {key: value for key, value in corpus.items() if key != "path"}
    return {key: nowhere(value) if isinstance(value, dict) else value for key, value in rest.items()}
