"""Check whether a local folder of pre-trained weights was given other weights after a record was made."""

import contextlib
import functools
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.core.errors import SettingError
from bench.core.record import Record
from bench.targets import encoder_files

CAUSAL_LM = "bench.models.causal_lm.SubwordModel"


def replaced_weights(config: dict[str, Any], record: Record) -> Path | None:
    """Return the local folder of pre-trained weights that a cell reads if it holds others than those of the record."""
    system = config["system"]
    if "head" in system:
        targets = config["targets"] if config["inputs"] == "contextual" else system["head"].get("targets") or {}
        source, sha256_of = targets.get("encoder"), encoder_files.weights_sha256
    else:
        source, sha256_of = system["model"].get("pretrained"), causal_lm_sha256
        if system["model"]["_target_"] != CAUSAL_LM:  # others hash their weights in their own way
            return None
    return changed_folder(source, sha256_of, record.weights_sha256, record.finished_at)


def changed_folder(
    source: str | None, sha256_of: Callable[[Path], str], recorded: str | None, finished_at: str | None
) -> Path | None:
    """Return the local folder of pre-trained weights if it holds others than those that a result was made from.

    A folder that has not changed since the result was finished is not read; any other is read once per process. None
    if the weights are the same, if the source is no local folder, or if there are no readable weights or no hash.

    Args:
        source: folder, or name on the hub; None for the embedded weights.
        sha256_of: computes the hash of a folder's weights.
        recorded: hash of the weights that the result was made from.
        finished_at: time of the result.
    """
    if None in (source, recorded, finished_at):
        return None
    folder = Path(source).expanduser()
    with contextlib.suppress(OSError, SettingError):
        changed = last_change(folder)
        if changed >= datetime.fromisoformat(finished_at).timestamp():
            return folder if once(sha256_of, folder, changed) != recorded else None
    return None


def reason_to_repeat(changed: Path | None) -> str:
    """Return why a result may differ today, for `Job.outdated`; empty if no folder of weights has changed."""
    return "" if changed is None else f"made from other weights than {changed} holds now"


def last_change(folder: Path) -> float:
    """Return the time of the last change of a folder's weights in seconds; 0 for a folder without any.

    The time is ctime, as a file that is copied or moved may keep its mtime; that of a link itself counts too.
    """
    files = [*folder.glob("*.safetensors")]
    return max(stat.st_ctime for path in (folder, *files) for stat in (path.stat(), path.lstat())) if files else 0.0


@functools.cache
def once(sha256_of: Callable[[Path], str], folder: Path, changed: float) -> str:
    """Return the hash of a folder's weights, computed once for each time of its last change."""
    return sha256_of(folder)


def causal_lm_sha256(folder: Path) -> str:
    """Return the hash of a causal LM as in records of its cells.

    Raises:
        SettingError: the folder holds no causal LM.
    """
    from bench.models.causal_lm_builders import load_causal_lm, weights_digest  # transformers, which few cells need

    return weights_digest(load_causal_lm(str(folder))[0])
