"""What a cache holds, when it is made again, and which settings are refused."""

import io
import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from factories.encoder import tiny_corpus, tiny_encoder
from safetensors.torch import load_file, save_file

from bench.core import disk_cache
from bench.core.errors import SettingError
from bench.data.corpus import build_corpus
from bench.targets.encoder import Encoder
from bench.targets.encoder_forward import BATCH_PIECES


def cached(folder: Path) -> list[Path]:
    return [path for path in (folder / "vectors").iterdir() if path.is_dir()]


def test_cached_vectors_are_read_without_loading_the_model(encoder, tmp_path, monkeypatch):
    made = encoder().encode(tiny_corpus(), "train")
    assert made.vectors.dtype == np.float16
    assert made.vectors.shape == (41, 16)
    monkeypatch.setattr(Encoder, "_model", None)
    found = encoder().encode(tiny_corpus(), "train")
    np.testing.assert_array_equal(found.vectors, made.vectors)
    assert found.seconds == made.seconds
    (path,) = cached(tmp_path)
    assert {each.name for each in path.iterdir()} == {"contents.json", "vectors.npy"}


def test_every_batch_is_a_heartbeat_for_processes_that_wait(encoder, monkeypatch):
    monkeypatch.setitem(BATCH_PIECES, "cpu", 40)
    batches, touched = len([*encoder().read(tiny_corpus(), "train")]), []
    monkeypatch.setattr(os, "utime", touched.append)
    encoder().encode(tiny_corpus(), "train")
    assert [path.suffix for path in touched].count(".lock") == batches > 1


def flipped(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]


def foreign(raw: bytes) -> bytes:
    """An array of pickled objects, which nothing may open."""
    held = io.BytesIO()
    np.save(held, np.array([Opened()], dtype=object), allow_pickle=True)
    return held.getvalue()


class Opened:
    def __reduce__(self):
        return (os._exit, (3,))


DAMAGES = {
    "cut short": ("vectors.npy", lambda raw: raw[:-2]),
    "empty": ("vectors.npy", lambda raw: b""),
    "no array": ("vectors.npy", lambda raw: b"not an array"),
    "a bit flipped": ("vectors.npy", flipped),
    "pickled": ("vectors.npy", foreign),
    "figures lost": ("contents.json", lambda raw: b"{}"),
    "figures garbled": ("contents.json", lambda raw: raw[:20]),
    "no figures": ("contents.json", None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_cache_is_filled_again_with_one_line_of_warning(encoder, tmp_path, caplog, monkeypatch, damage):
    expected = np.array(encoder().encode(tiny_corpus(), "train").vectors)
    (path,) = cached(tmp_path)
    name, spoil = DAMAGES[damage]
    spoilt = path / name
    spoilt.write_bytes(spoil(spoilt.read_bytes())) if spoil else spoilt.unlink()
    monkeypatch.setattr(disk_cache, "CHECKED", set())  # as in another process
    np.testing.assert_array_equal(encoder().encode(tiny_corpus(), "train").vectors, expected)
    assert [(record.name, record.levelno) for record in caplog.records] == [("bench.core.disk_cache", logging.WARNING)]
    assert caplog.messages == [f"{path} is damaged; encoding tiny, train again"]
    np.testing.assert_array_equal(encoder().encode(tiny_corpus(), "train").vectors, expected)
    assert len(caplog.records) == 1
    assert json.loads((path / "contents.json").read_text())["figures"]["seconds"] > 0


def test_settings_that_change_vectors_have_separate_caches(encoder, tmp_path):
    corpus = tiny_corpus()
    changes = ({"context": "prefix"}, {"window": 4}, {"layer": 1}, {"pooling": "last"}, {"precision": "bf16"})
    for settings in ({}, *changes, {"special_tokens": "none"}, {"layer": -1}):  # the last: as the first
        encoder(**settings).encode(corpus, "test")
    encoder().encode(corpus.limited(validation=None, test=2), "test")
    assert len(cached(tmp_path)) == 8


def test_vectors_that_are_not_finite_are_not_kept(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "bert")
    weights = load_file(tmp_path / "bert" / "model.safetensors")
    weights["encoder.layer.2.output.LayerNorm.weight"][0] = 1e6
    save_file(weights, tmp_path / "bert" / "model.safetensors", {"format": "pt"})
    with pytest.raises(SettingError, match=r"^targets.encoder: some vectors are infinite"):
        tiny_encoder(tmp_path / "bert", tmp_path).encode(tiny_corpus(), "train")
    assert not cached(tmp_path)


def test_words_that_the_tokenizer_does_not_know_are_counted_in_one_line(encoder, capsys):
    words = ["ქართული", "cat", "ไ", "<unk>"] * 5
    others = {"validation": [["cat"]], "test": [["ไ"]]}
    encoder().encode(build_corpus("tiny", {"train": [words], **others}), "train")
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "targets.encoder: the tokenizer of" in line)
    assert "has no pieces for 2 of 4 words (50.00% of the training words)" in line
    encoder().encode(build_corpus("tiny", {"train": [["the", "cat"]], **others}), "train")
    assert "no pieces" not in capsys.readouterr().err


def test_half_precision_stays_near_full(encoder):
    words = tiny_corpus().lexicon
    full, half = (encoder(precision=precision).vectors(words) for precision in ("fp32", "bf16"))
    assert not torch.equal(full, half)
    assert torch.cosine_similarity(full, half).min() > 0.98


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("context", "future", "'future' is not valid; give 'causal', 'prefix' or 'bidirectional'$"),
        ("window", 0, "0 is not valid; give greater than or equal to 1$"),
        ("window", "all", "'all' is not valid; give a valid integer$"),
        ("layer", 4, "4 is not "),
        ("layer", -5, "-5 is not "),
        ("pooling", "max", "'max' is not valid; give 'mean', 'first' or 'last'$"),
        ("special_tokens", "sep", "'sep' is not valid; give 'cls', 'both' or 'none'$"),
        ("precision", "fp8", "'fp8' is not valid; give 'auto', 'bf16' or 'fp32'$"),
    ],
)
def test_bad_settings_are_refused(encoder, setting, value, problem):
    with pytest.raises(SettingError, match=f"^targets.{setting}: {problem}"):
        encoder(**{setting: value})
