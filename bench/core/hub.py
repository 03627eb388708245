"""Files of the model hub in its local cache: fetched where they are lacking, checked before use."""

import logging
from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

REACH_SECONDS = 10.0  # the longest that one quick question to the hub may take

SHA256_DIGITS = 64

log = logging.getLogger(__name__)


def fetch(name: str, files: Iterable[str], *, kind: str = "model", ignore: str | None = "*/*") -> Path:
    """A repository's files that match the patterns; without the hub, what an earlier run has fetched.

    Raises:
        Exception: of many types, all of which mean that the hub is out of reach or has no such thing.
    """
    try:  # the client would retry for half a minute
        HfApi().repo_info(name, repo_type=kind, timeout=REACH_SECONDS)
        reached = True
    except Exception:
        reached = False
    wanted = {"repo_id": name, "repo_type": kind, "allow_patterns": list(files), "ignore_patterns": ignore}
    folder = Path(snapshot_download(**wanted, local_files_only=not reached))
    if spoilt := damaged(folder):
        log.warning("%s is damaged; fetching it again", ", ".join(str(file.relative_to(folder)) for file in spoilt))
        for file in spoilt:
            file.resolve().unlink()
            file.unlink()
        snapshot_download(**wanted, local_files_only=not reached)
        if lost := [file.name for file in spoilt if not file.is_file()]:
            raise FileNotFoundError(f"{', '.join(lost)}: damaged, and the hub is out of reach")
    return folder


def damaged(folder: Path) -> list[Path]:
    """Large files whose content is not what it was fetched as: the cache keeps them under their sha256."""
    found = []
    for file in sorted(each for each in folder.rglob("*") if each.is_symlink()):
        blob = file.resolve()
        if len(blob.name) == SHA256_DIGITS:
            with blob.open("rb") as content:
                if file_digest(content, "sha256").hexdigest() != blob.name:
                    found.append(file)
    return found
