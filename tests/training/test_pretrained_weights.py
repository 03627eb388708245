"""A result whose local folder of a pre-trained model has been given other weights since is recognised."""

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from factories.configurations import composed
from factories.encoder import tiny_bert
from safetensors.torch import load_file, save_file

from bench.core.errors import SettingError
from bench.core.paths import resolved_config
from bench.core.record import Record
from bench.run import CellJob
from bench.targets.encoder_files import weights_sha256
from bench.training.pretrained_weights import causal_lm_sha256

EARLIER, LATER = "2001-01-01T00:00:00+00:00", "2101-01-01T00:00:00+00:00"


def cell(kind: str, folder: Path, llama: Path) -> tuple[list[str], str]:
    """Fill the folder of a pre-trained model; return the settings that read it, and the hash of its weights."""
    if kind == "causal LM":
        shutil.copytree(llama, folder)
        return ["system=gpt2", f"system.pretrained={folder}"], causal_lm_sha256(folder)
    own = ["system=cosine"] if kind == "targets" else ["system=softmax", "inputs=contextual"]
    return [*own, f"targets.encoder={tiny_bert(folder)}"], weights_sha256(folder)


@pytest.fixture(params=["causal LM", "targets", "contextual inputs"])
def pretrained(request, tmp_path, llama_folder) -> tuple[dict[str, Any], Path, Record]:
    """A cell's configuration, the folder of its pre-trained model and a record that was made with it."""
    folder = tmp_path / "model"
    overrides, sha256 = cell(request.param, folder, llama_folder)
    config = resolved_config(composed(*overrides, "corpus=synthetic", f"results_dir={tmp_path}"))
    record = CellJob().failure(config, SettingError("seed", "no reason"))
    return config, folder, dataclasses.replace(record, status="ok", reason=None, weights_sha256=sha256)


def outdated(config: dict[str, Any], record: Record, finished_at: str) -> str:
    path = dataclasses.replace(record, finished_at=finished_at).write(CellJob().record_stem(config))
    return CellJob().outdated(config, path)


def double(weights: Path) -> None:
    """Write other weights of the same shapes."""
    save_file({name: 2 * each for name, each in load_file(weights).items()}, weights, {"format": "pt"})


def test_record_made_before_its_model_was_replaced_is_outdated(pretrained):
    config, folder, record = pretrained
    assert outdated(config, record, EARLIER) == ""  # a newer copy of the same weights
    double(folder / "model.safetensors")
    os.utime(folder / "model.safetensors", (0, 0))  # as a copy that keeps the time of an older file
    assert outdated(config, record, EARLIER) == f"made from other weights than {folder} holds now"
    assert outdated(config, dataclasses.replace(record, weights_sha256=None), EARLIER) == ""  # unknown
    (folder / "model.safetensors").write_text("damaged")
    if config["system"]["name"] == "model":  # a causal LM is loaded for its hash
        assert outdated(config, record, EARLIER) == ""
    shutil.rmtree(folder)
    assert outdated(config, record, EARLIER) == ""


def test_weights_that_have_not_changed_since_the_record_are_not_read(pretrained, monkeypatch):
    config, _, record = pretrained
    monkeypatch.setattr("bench.training.pretrained_weights.once", lambda *_: pytest.fail("reads the weights"))
    assert outdated(config, record, LATER) == ""


def test_changed_weights_are_read_once_for_all_cells_of_a_process(pretrained, monkeypatch):
    config, folder, record = pretrained
    double(folder / "model.safetensors")
    assert outdated(config, record, EARLIER)
    for name in ("bench.targets.encoder_files.digest", "bench.models.causal_lm_builders.load_causal_lm"):
        monkeypatch.setattr(name, lambda *_: pytest.fail("reads the weights again"))
    assert outdated(config, record, EARLIER)
