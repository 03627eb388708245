"""The hub out of reach, silent or slow, and files of its cache that are no longer what was fetched."""

import hashlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core import hub

COMMIT = "c" * 40
ASKED = """
import time
from bench.core import hub
from bench.core.errors import SettingError
from bench.targets.encoder_files import find_encoder
from bench.data.sources.wikitext import wikitext
from bench.models.causal_lm_builders import load_causal_lm
asks = [
    lambda: find_encoder("bert-base-uncased"),
    lambda: load_causal_lm("gpt2"),
    lambda: wikitext("wikitext-2-raw-v1"),
]
import datasets
hub.REACH_SECONDS, begin = 2.0, time.perf_counter()
for ask in asks:
    try:
        ask()
    except SettingError as error:
        print(error)
print(time.perf_counter() - begin)
"""


@pytest.fixture
def cached(tmp_path, monkeypatch) -> Path:
    """A model as the hub's client keeps it: names that lead to contents, each under its sha256."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    place = tmp_path / "models--some--body"
    folder = place / "snapshots" / COMMIT
    for made in (place / "blobs", place / "refs", folder):
        made.mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    for name, content in (("model.safetensors", b"weights"), ("config.json", b"{}")):
        digits = hashlib.sha256(content).hexdigest()
        blob = place / "blobs" / (digits if name.startswith("model") else digits[:40])  # small files: git's own name
        blob.write_bytes(content)
        (folder / name).symlink_to(blob)
    return folder


def test_sound_cache_needs_no_hub(cached):
    assert hub.fetch("some/body", ["*"]) == cached


def test_damaged_weights_are_not_used(cached, caplog):
    (cached / "model.safetensors").resolve().write_bytes(b"weightz")
    with pytest.raises(FileNotFoundError, match=r"^model.safetensors: damaged, and the hub is out of reach$"):
        hub.fetch("some/body", ["*"])
    assert caplog.messages == ["model.safetensors is damaged; fetching it again"]


def test_damaged_weights_are_fetched_again(cached, caplog, monkeypatch):
    blob = (cached / "model.safetensors").resolve()
    blob.write_bytes(b"weightz")

    def fetched(**_):
        if not blob.exists():
            blob.write_bytes(b"weights")
            (cached / "model.safetensors").symlink_to(blob)
        return str(cached)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    assert (hub.fetch("some/body", ["*"]) / "model.safetensors").read_bytes() == b"weights"
    assert len(caplog.records) == 1


@pytest.mark.slow
@pytest.mark.parametrize("silent", [False, True], ids=["closed", "silent"])
def test_hub_that_cannot_be_reached_is_one_line_within_the_time_limit(tmp_path, silent, monkeypatch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()  # takes the question, and never answers
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("HF_HOME", str(tmp_path))
        run = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, timeout=200, check=True)
    *problems, seconds = run.stdout.splitlines()
    assert [line.split(":")[0] for line in problems] == ["targets.encoder", "system.pretrained", "corpus"]
    assert float(seconds) < 3 * 2 + 20
