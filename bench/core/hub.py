"""Files of the model hub in its local cache: downloaded if missing, checked before use."""

import logging
from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path

REACH_SECONDS = 10.0  # time limit of the request that tests whether the hub can be reached

SHA256_DIGITS = 64  # length of a file name in the cache that is a sha256

log = logging.getLogger(__name__)


def fetch(name: str, files: Iterable[str], *, kind: str = "model", ignore: str | None = "*/*") -> Path:
    """Return the folder with a repository's files that match the patterns; without the hub, the cached files.

    Raises:
        Exception: of many types, if the cache lacks files and the hub is out of reach or has no such repository.
    """
    from huggingface_hub import HfApi, snapshot_download  # here: 0.3 s that most commands spare

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
    """Return the large files whose content differs from their sha256, which is their name in the cache."""
    spoilt = []
    for file in sorted(each for each in folder.rglob("*") if each.is_symlink()):
        blob = file.resolve()
        if len(blob.name) == SHA256_DIGITS:
            with blob.open("rb") as content:
                if file_digest(content, "sha256").hexdigest() != blob.name:
                    spoilt.append(file)
    return spoilt
