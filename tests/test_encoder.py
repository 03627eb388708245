"""What a cache holds, when it is made again, and which settings are refused."""

import json
import logging
import shutil
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_bert import tiny_bert, tiny_corpus, tiny_encoder

from bench.encoder import Encoder
from bench.errors import SettingError


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def encoder(folder, tmp_path):
    return lambda **settings: tiny_encoder(folder, tmp_path, **settings)


def cached(folder: Path) -> list[Path]:
    return list((folder / "vectors").glob("*.npy"))


def test_a_cache_is_read_without_loading_the_model(encoder, tmp_path, monkeypatch):
    made = encoder().encode(tiny_corpus(), "train")
    assert made.vectors.dtype == np.float16
    assert made.vectors.shape == (41, 16)
    monkeypatch.setattr(Encoder, "_reader", None)
    found = encoder().encode(tiny_corpus(), "train")
    np.testing.assert_array_equal(found.vectors, made.vectors)
    assert found.seconds == made.seconds
    assert {path.suffix for path in (tmp_path / "vectors").iterdir()} - {".lock"} == {".npy", ".json"}


@pytest.mark.parametrize("damage", [lambda raw: raw[:-2], lambda raw: b"", lambda raw: b"not an array"])
def test_a_damaged_cache_is_made_again_with_one_line_of_warning(encoder, tmp_path, caplog, damage):
    expected = np.array(encoder().encode(tiny_corpus(), "train").vectors)
    (path,) = cached(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    np.testing.assert_array_equal(encoder().encode(tiny_corpus(), "train").vectors, expected)
    assert [(record.name, record.levelno) for record in caplog.records] == [("bench.encoder", logging.WARNING)]
    assert "damaged" in caplog.text


def test_a_cache_whose_figures_are_lost_is_made_again(encoder, tmp_path):
    encoder().encode(tiny_corpus(), "train")
    (path,) = cached(tmp_path)
    path.with_suffix(".json").write_text("{}")
    encoder().encode(tiny_corpus(), "train")
    assert json.loads(path.with_suffix(".json").read_text())["seconds"] > 0


def test_whatever_changes_vectors_has_a_cache_of_its_own(encoder, tmp_path):
    corpus = tiny_corpus()
    changes = ({"context": "prefix"}, {"window": 4}, {"layer": 1}, {"pooling": "last"}, {"precision": "bf16"})
    for settings in ({}, *changes, {"special_tokens": "none"}, {"layer": -1}):  # the last: as the first
        encoder(**settings).encode(corpus, "test")
    encoder().encode(corpus.limited(validation=None, test=2), "test")
    assert len(cached(tmp_path)) == 8


def test_encoders_that_start_at_once_encode_once(encoder, monkeypatch):
    written, write = [], Encoder._write
    monkeypatch.setattr(Encoder, "_write", lambda *given: (written.append(1), write(*given)))
    corpus = tiny_corpus()
    threads = [threading.Thread(target=encoder().encode, args=(corpus, "train")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == [1]


def test_vectors_that_do_not_fit_the_disk_are_not_begun(encoder, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(1151))
    with pytest.raises(SettingError, match=r"^cache_dir: "):
        encoder().encode(tiny_corpus(), "train")
    assert not cached(tmp_path)


def test_vectors_that_are_not_finite_are_not_kept(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "bert")
    weights = load_file(tmp_path / "bert" / "model.safetensors")
    weights["encoder.layer.2.output.LayerNorm.weight"][0] = 1e6
    save_file(weights, tmp_path / "bert" / "model.safetensors", {"format": "pt"})
    with pytest.raises(SettingError, match=r"^targets.encoder: some vectors are infinite"):
        tiny_encoder(tmp_path / "bert", tmp_path).encode(tiny_corpus(), "train")
    assert not cached(tmp_path)


def test_half_precision_stays_near_full(encoder):
    words = tiny_corpus().lexicon
    full, half = (encoder(precision=precision).vectors(words) for precision in ("fp32", "bf16"))
    assert not torch.equal(full, half)
    assert torch.cosine_similarity(full, half).min() > 0.98


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("context", "future"),
        ("window", 0),
        ("window", "all"),
        ("layer", 4),
        ("layer", -5),
        ("pooling", "max"),
        ("special_tokens", "sep"),
        ("precision", "fp8"),
    ],
)
def test_bad_settings(encoder, setting, value):
    with pytest.raises(SettingError, match=f"^targets.{setting}: {value} is not "):
        encoder(**{setting: value})
