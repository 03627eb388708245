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
    "stale",
    "cache_dir",
    "experiment_name",
    "checkpoint",
    "competitors",
    "trial",
    "job",
)  # settings that do not change a quality figure

DESCRIPTION = "kind"  # key of a system that says how the report shows the system; it changes no figure
LONGEST_PART = 60  # bytes of one part; a file name has at most 255


def identity(config: dict[str, Any]) -> str:
    """Return the file stem of a configuration's record: readable parts, then a hash of all settings that matter."""
    size = config["vocabulary"]["size"]
    parts = [
        config["system"]["name"],
        config["corpus"]["name"],
        f"v{'all' if size is None else size}",
        f"s{config['seed']}",
    ]
    kept = {key: value for key, value in config.items() if key not in OUTSIDE_IDENTITY}
    if config["inputs"] == "learned":
        del kept["targets"]  # a head that reads targets has them among its own settings
    return "-".join([*map(file_name_part, parts), short_hash(kept)])


def short_hash(config: dict[str, Any], added: dict[str, Any] = ADDED) -> str:
    """Hash settings, or some of them, as first published: eight hexadecimal digits of the sha256 of sorted JSON.

    A user's text and a file of targets are hashed by their content and not by their path, so that they may move.
    """
    kept = without_hashed_paths(published(without_description(config), added))
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


def file_name_part(name: object) -> str:
    """Return a text as part of a file name: without separators, at most LONGEST_PART bytes."""
    return re.sub(r"[^\w.+]", "_", str(name)).encode()[:LONGEST_PART].decode(errors="ignore")


def without_hashed_paths(config: dict[str, Any]) -> dict[str, Any]:
    """Leave out the paths of a user's text and of files of targets if the configuration has hashes of their content."""
    kept = without_target_paths(config)
    if kept.get("corpus", {}).get("content_sha256"):
        kept["corpus"] = without_paths(kept["corpus"])
    return kept


def without_target_paths(value: Any) -> Any:
    """Leave out, at any depth, the path of a file of targets whose content has a hash."""
    if not isinstance(value, dict):
        return value
    named = value.get("path") is not None and value.get("sha256") is not None
    return {key: without_target_paths(each) for key, each in value.items() if not (named and key == "path")}


def without_paths(corpus: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a user's text without its path, which may change while the content stays."""
    rest = {key: value for key, value in corpus.items() if key != "path"}
    return {key: without_paths(value) if isinstance(value, dict) else value for key, value in rest.items()}
