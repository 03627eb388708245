"""`python -m bench.targets`: the exported table is read back as it was."""

import json
import sys

import pytest
import torch
from factories.encoder import tiny_bert
from safetensors import safe_open

from bench.core.errors import SettingError
from bench.data.sources.synthetic import synthetic
from bench.data.vocabulary import Vocabulary
from bench.targets import __main__ as command
from bench.targets.static import static

CORPUS = {"types": 300, "words": 6000, "classes": 16, "concentration": 2.0, "seed": 0, "document_words": 200}
OVERRIDES = ["corpus=synthetic", "vocabulary.size=200", *(f"corpus.{key}={value}" for key, value in CORPUS.items())]


def exported(monkeypatch, path, *overrides: str) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.targets", str(path), *OVERRIDES, *overrides])
    command.main()


def read_back(path, size: int = 200) -> torch.Tensor:
    options = {"sha256": None, "level": "type", "centre": False, "whiten": False, "normalise": False, "cache_dir": ""}
    return static(name="static", vocabulary=Vocabulary(synthetic(**CORPUS), size), path=str(path), **options).table


def test_exported_table_is_read_back_to_float16_rounding(monkeypatch, tmp_path, capsys):
    path = tmp_path / "table.safetensors"
    exported(monkeypatch, path, "targets=random", "targets.dimension=16", "targets.unit_length=false")
    table = torch.randn(200, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(read_back(path), table.half().float())  # <unk>, which no other row of the file replaces, too
    assert (
        capsys.readouterr().out
        == f"200 words, 16 columns, 0.0 MiB: targets=static targets.path={path} targets.normalise=false\n"
    )
    exported(monkeypatch, path, "targets=random", "targets.dimension=16")
    assert capsys.readouterr().out == f"200 words, 16 columns, 0.0 MiB: targets=static targets.path={path}\n"


def test_smaller_vocabulary_has_the_rows_of_its_words(monkeypatch, tmp_path):
    path = tmp_path / "table.safetensors"
    exported(monkeypatch, path, "targets=random", "targets.dimension=16")
    vocabularies = [Vocabulary(synthetic(**CORPUS), size) for size in (200, 50)]
    whole, part = read_back(path), read_back(path, 50)
    for row, word in zip(part, vocabularies[1].words, strict=True):
        if word != "<unk>":
            assert torch.equal(row, whole[vocabularies[0].words.index(word)])


def test_file_names_what_its_rows_were_made_of(monkeypatch, tmp_path):
    path, encoder = tmp_path / "table.safetensors", tiny_bert(tmp_path / "bert")
    exported(monkeypatch, path, f"targets.encoder={encoder}", f"cache_dir={tmp_path}", "targets.precision=fp32")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    facts = json.loads(metadata["provenance"])
    assert metadata["format"] == command.FORMAT
    assert facts["corpus_sha256"] == synthetic(**CORPUS).digest
    assert facts["vocabulary_size"] == 200 and facts["targets"]["encoder"] == str(encoder)
    assert len(facts["weights_sha256"]) == 64 and facts["encode_seconds"] > 0 and facts["versions"]["torch"]


def test_bad_input_is_one_line_and_writes_nothing(monkeypatch, tmp_path, capsys):
    for name, override, line in (
        ("table.pt", "seed=0", "FILE: "),
        ("table.safetensors", "vocabulary.size=5000", "vocabulary.size: 5000 is not a whole number from 2 to"),
        ("table.safetensors", "targets=nothing", "targets: there is no nothing"),
        ("table.safetensors", "targets.dimensions=3", "targets.dimensions: "),
    ):
        with pytest.raises(SystemExit) as ended:
            exported(monkeypatch, tmp_path / name, override)
        error = capsys.readouterr().err
        assert ended.value.code == 2 and error.startswith(line) and error.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


def test_static_table_that_lacks_the_file_is_refused(tmp_path):
    with pytest.raises(SettingError, match=r"^targets.path: "):
        read_back(tmp_path / "table.safetensors")
