"""Target rows of a trained softmax: read from the weights that a cell kept, refused where they do not fit."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from factories.cells import SMALL
from factories.configurations import composed
from hydra.errors import InstantiationException
from omegaconf import DictConfig
from safetensors.torch import load_file

from bench.core.errors import SettingError, unwrap
from bench.core.paths import record_stem, resolved_config, weights_path
from bench.run import run
from bench.training.build import build_cell

PLAIN = [each for each in SMALL if not each.startswith("targets")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cells")


def settings(folder: Path, *more: str) -> DictConfig:
    return composed(*PLAIN, f"results_dir={folder}", f"cache_dir={folder}", *more)


def finished(cfg: DictConfig) -> tuple[Path, Path]:
    """Run a cell; return the paths of its record and of its weights."""
    assert run(cfg).status == "ok"
    config = resolved_config(cfg)
    return record_stem(config).with_suffix(".json"), weights_path(config)


@pytest.fixture(scope="module")
def softmax(folder) -> tuple[Path, Path]:
    return finished(settings(folder, "system=softmax"))


def with_rows_of(path: Path | None, folder: Path, *more: str) -> DictConfig:
    place = "null" if path is None else path
    return settings(folder, "system=cosine", "targets=softmax_rows", f"targets.path={place}", *more)


@pytest.mark.parametrize("unit_length", [False, True])
def test_table_holds_the_rows_of_the_trained_softmax(softmax, folder, unit_length):
    record, weights = softmax
    targets = build_cell(with_rows_of(record, folder, f"targets.unit_length={unit_length}")).targets
    rows = load_file(weights)["head.words.weight"]
    assert rows.shape == (200, 16)
    torch.testing.assert_close(targets.table, F.normalize(rows, dim=1) if unit_length else rows, rtol=0, atol=0)


def test_regressor_trains_on_the_rows(softmax, folder):
    record = run(with_rows_of(softmax[0], folder))
    assert (record.status, record.is_density) == ("ok", False)


def refusal(cfg: DictConfig) -> str:
    """Return the line with which building a cell is refused."""
    with pytest.raises(InstantiationException) as raised:
        build_cell(cfg)
    error = unwrap(raised.value)
    assert isinstance(error, SettingError)
    return str(error)


def test_rows_of_another_softmax_make_another_cell(softmax, folder, tmp_path):
    fields = json.loads(softmax[0].read_text())

    def stem(name: str, **changed: object) -> str:
        (tmp_path / name).write_text(json.dumps(fields | changed))
        return record_stem(resolved_config(with_rows_of(tmp_path / name, folder))).name

    here = record_stem(resolved_config(with_rows_of(softmax[0], folder))).name
    assert stem("changed.json", trained_words=1) != here
    assert stem("moved.json") == here
    assert stem("diagnosed.json", diagnosis={"reference": "x"}, generation_quality={"words": 64}) == here


def test_record_of_another_content_is_refused(softmax, folder):
    line = refusal(with_rows_of(softmax[0], folder, "targets.sha256=abc"))
    assert line.startswith(f"targets.path: {softmax[0]} is no longer the record of this cell's rows; restore it")


def test_path_without_a_finished_cell_is_refused(folder):
    for path in (None, folder / "missing.json"):
        line = refusal(with_rows_of(path, folder))
        assert line.startswith(f"targets.path: {path} is not a file; give the .json of a finished softmax cell")


@pytest.mark.parametrize("other", ["corpus.seed=7", "vocabulary.size=100"])
def test_rows_of_another_text_or_vocabulary_are_refused(softmax, folder, other):
    line = refusal(with_rows_of(softmax[0], folder, other))
    assert line.startswith(
        f"targets.path: {softmax[0]} has another text or vocabulary (V = 200 words of synthetic); give"
    )


def test_cell_without_kept_weights_is_refused(softmax, folder):
    record, weights = softmax
    hidden = weights.rename(weights.with_suffix(".away"))
    try:
        assert refusal(with_rows_of(record, folder)).startswith(f"targets.path: {weights} is missing or damaged")
    finally:
        hidden.rename(weights)


def test_cell_of_a_head_without_softmax_rows_is_refused(folder):
    record, _ = finished(settings(folder, "system=adaptive_softmax"))
    expected = (
        f"targets.path: {record} is a cell of adaptive_softmax, which has no softmax rows; give one of softmax or nce"
    )
    assert refusal(with_rows_of(record, folder)) == expected
