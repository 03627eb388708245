"""Predictions of another program: the text that it reads, the file that it writes, figures equal to a regressor's."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from factories.cells import settings
from factories.models import HIDDEN, word_model
from safetensors.torch import save_file

from bench import diagnose, export
from bench.core.errors import SettingError
from bench.core.paths import record_stem, resolved_config
from bench.core.record import Record
from bench.core.stored_result import json_path
from bench.data.corpus import build_corpus
from bench.evaluation.diagnosis import ladder
from bench.evaluation.score import EvaluationData
from bench.evaluation.word_evaluator import WordEvaluator
from bench.heads.cosine import CosineHead
from bench.heads.mse import MSEHead
from bench.models.spelling import Speller
from bench.models.stored_predictions import StoredPredictions
from bench.run import run
from bench.targets.tables import Targets

D = 8

SCRIPT = Path(__file__).parents[2] / "docs" / "own_models.md"


@pytest.fixture(scope="module")
def data(corpus, vocabulary) -> EvaluationData:
    small = corpus.limited(validation=300, test=150)
    return EvaluationData(vocabulary, Speller(vocabulary), small.validation, small.test, 200, 50)


def table(size: int) -> torch.Tensor:
    return torch.randn(size, D, generator=torch.Generator().manual_seed(3))


def tensors(corpus, size: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    splits = {split: len(getattr(corpus, split)) for split in ("train", "validation", "test")}
    return {split: torch.randn(length, D, generator=generator) for split, length in splits.items()} | {
        "table": table(size)
    }


def stored(corpus, vocabulary, path: Path | None, **more: object) -> StoredPredictions:
    options = {"path": path and str(path), "sha256": None, "distance": "cosine"} | more
    return StoredPredictions(corpus=corpus, vocabulary=vocabulary, **options)


@pytest.mark.parametrize(("head_class", "distance"), [(CosineHead, "cosine"), (MSEHead, "squared_error")])
def test_predictions_of_a_regressor_score_as_the_regressor_does(
    corpus, vocabulary, data, tmp_path, head_class, distance
):
    regressor, rows = word_model(vocabulary), table(len(vocabulary))
    regressor.head = head_class(hidden_size=HIDDEN, vocabulary=vocabulary, targets=Targets("random", "type", rows))
    with torch.no_grad():
        regressor.head.projection.weight.mul_(10)
        predicted = {
            split: regressor.head.projection(regressor.features(getattr(data, split), None)).contiguous()
            for split in ("validation", "test")
        }
    path = tmp_path / "p.safetensors"
    save_file(predicted | {"table": rows}, path)
    model = stored(corpus.limited(validation=300, test=150), vocabulary, path, distance=distance)
    own, other = WordEvaluator(model), WordEvaluator(regressor)
    one, two = own.score(data), other.score(data)
    np.testing.assert_array_equal(one.rank, two.rank)
    np.testing.assert_allclose(one.nats, two.nats, rtol=1e-4)
    assert own.validation_nats(data) == pytest.approx(other.validation_nats(data), rel=1e-4)
    assert one.brier_n is None and not model.is_density and not model.writes
    assert own.decoder(data, 4)(4).shape == (4, 10)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"test": None},
            r"tensor `test` of p.safetensors is missing; it has to be \[150, D\], a row per word of the t",
        ),
        (
            {"table": None},
            r"tensor `table` of p.safetensors is missing; it has to be \[200, D\], a row per word of",
        ),
        ({"test": torch.zeros(149, D)}, r"tensor `test` .*has the shape \(149, 8\); it has to be \[150, D\]"),
        ({"validation": torch.zeros(300, D + 1)}, r"tensor `validation` .*has the shape \(300, 9\)"),
        (
            {"table": torch.zeros(199, D)},
            r"tensor `table` .*has the shape \(199, 8\); .*\[200, D\], a row per word of the v",
        ),
        ({"table": torch.full((200, D), torch.nan)}, r"row 0 of `table` in p.safetensors is not finite"),
    ],
)
def test_file_of_other_tensors_is_refused_in_one_line(corpus, vocabulary, tmp_path, change, problem):
    small, path = corpus.limited(validation=300, test=150), tmp_path / "p.safetensors"
    changed = tensors(small, len(vocabulary)) | change
    save_file({name: each for name, each in changed.items() if each is not None}, path)
    with pytest.raises(SettingError, match=rf"^system.model.path: {problem}"):
        stored(small, vocabulary, path)


def test_missing_file_other_text_and_other_content_are_refused_in_one_line(corpus, vocabulary, tmp_path):
    path = tmp_path / "p.safetensors"
    for place, problem in ((None, "give the .safetensors file"), (path, "is no file")):
        with pytest.raises(SettingError, match=rf"^system.model.path: .*{problem}"):
            stored(corpus, vocabulary, place)
    path.write_bytes(b"nothing")
    with pytest.raises(SettingError, match=r"^system.model.path: .*is no safetensors file"):
        stored(corpus, vocabulary, path)
    save_file(tensors(corpus, len(vocabulary)), path, metadata={"corpus_sha256": "other"})
    with pytest.raises(SettingError, match=r"^system.model.path: p.safetensors was made for another text"):
        stored(corpus, vocabulary, path)
    save_file(tensors(corpus, len(vocabulary)), path, metadata={"corpus_sha256": corpus.digest})
    with pytest.raises(SettingError, match=r"is no longer that of this cell"):
        stored(corpus, vocabulary, path, sha256="0" * 64)
    bad = tensors(corpus, len(vocabulary))
    bad["test"][7, 2] = torch.inf
    save_file(bad, path)
    model = stored(corpus, vocabulary, path)
    with pytest.raises(SettingError, match=r"^system.model.path: row 7 of `test` in p.safetensors is not finite"):
        model.features(corpus.test, "test")
    with pytest.raises(SettingError, match=r"^RUN: p.safetensors has predictions of .* alone"):
        model.features(corpus.test, None)


def test_exported_text_is_the_text_of_the_cell(tmp_path):
    cfg = settings(tmp_path, "system=unigram")
    vocabulary = export.export(cfg, tmp_path / "text")
    corpus = vocabulary.corpus
    for split in export.SPLITS:
        lines = (tmp_path / "text" / f"{split}.txt").read_text().splitlines()
        documents = getattr(corpus, split).documents()
        assert [line.split(" ") for line in lines] == [corpus.words_of(document) for document in documents]
    assert (tmp_path / "text" / "vocabulary.txt").read_text().splitlines() == vocabulary.words
    record = run(cfg)
    assert (tmp_path / "text" / "corpus_sha256.txt").read_text().strip() == record.corpus_sha256
    assert len(corpus.test) == record.test_words


def test_export_refuses_bad_settings_and_words_with_spaces_in_one_line(tmp_path, monkeypatch, capsys):
    for override, line in (
        ("vocabulary.size=1", "vocabulary.size: "),
        ("corpus=nothing", "corpus: there is no nothing"),
    ):
        monkeypatch.setattr(sys, "argv", ["bench.export", str(tmp_path / "text"), override])
        with pytest.raises(SystemExit) as ended:
            export.main()
        error = capsys.readouterr().err
        assert ended.value.code == 2 and error.startswith(line) and error.count("\n") == 1
    cfg = settings(tmp_path, "system=unigram", "vocabulary.size=5")
    documents = [["new york", "b", *"cdefghij" * 3]]
    spaced = build_corpus("spaced", dict.fromkeys(export.SPLITS, documents))
    monkeypatch.setattr(export, "open_corpus", lambda source, cache: spaced)
    with pytest.raises(SettingError, match=r"^corpus: the word 'new york' holds white space"):
        export.export(cfg, tmp_path / "text")
    assert not (tmp_path / "text").exists()


# enough words for a map to be better than two numbers, whatever the rounding of the machine
WHOLE_TEXT = "corpus.words=60000 evaluation.calibration_words=2000 budget.words=null budget.seconds=1".split()


@pytest.fixture
def example(tmp_path, monkeypatch) -> Path:
    """Run the script of the documentation on the text of a small cell; return the file of predictions."""
    monkeypatch.chdir(tmp_path)
    export.export(settings(tmp_path, "system=unigram", *WHOLE_TEXT), tmp_path / "my_text")
    [script] = re.findall(r"```python\n(   # predict.py\n.*?)   ```", SCRIPT.read_text(), re.DOTALL)
    exec(compile(re.sub(r"^   ", "", script, flags=re.MULTILINE), str(SCRIPT), "exec"), {})
    return tmp_path / "predictions.safetensors"


def test_script_of_the_documentation_is_scored_and_diagnosed(example, tmp_path, monkeypatch):
    monkeypatch.setattr(ladder, "SEGMENTS", 512)
    cfg = settings(tmp_path, "system=predictions", f"system.model.path={example}", *WHOLE_TEXT)
    record = run(cfg)
    assert record.status == "ok" and record.generations == [] and record.train_seconds is None
    assert record.accuracy_at_1 > 2 / record.vocabulary_size and record.weights_sha256
    path = json_path(record_stem(resolved_config(cfg)))
    monkeypatch.setattr(sys, "argv", ["bench.diagnose", str(path)])
    with pytest.raises(SystemExit) as ended:
        diagnose.main()
    assert ended.value.code == 0
    diagnosis = Record.read(path).diagnosis
    assert diagnosis["reference"] == "truth"
    parts = [diagnosis[f"nats_lost_to_{part}"] for part in ("target_ambiguity", "conditional_mean", "fit", "decoding")]
    assert sum(parts) == pytest.approx(diagnosis["nats_gap"], abs=1e-9)
    nats = {row["read_out"]: row["nats"] for row in diagnosis["read_outs"]}
    assert nats["linear_map"] < nats["calibrated"] and "probe" in nats
    assert Record.read(path).generation_quality is None


def test_predictions_without_the_training_text_have_no_fitted_read_outs(example, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    kept = {name: each for name, each in load_file(example).items() if name != "train"}
    save_file(kept, tmp_path / "less.safetensors")
    file = "system.model.path=less.safetensors"
    cfg = settings(tmp_path, "system=predictions", "system.name=mine", file, *WHOLE_TEXT)
    assert run(cfg).status == "ok"
    path = json_path(record_stem(resolved_config(cfg)))
    monkeypatch.setattr(sys, "argv", ["bench.diagnose", str(path)])
    with pytest.raises(SystemExit) as ended:
        diagnose.main()
    assert ended.value.code == 0
    names = [row["read_out"] for row in Record.read(path).diagnosis["read_outs"]]
    assert names == ["reference", "nearest", "calibrated"]
