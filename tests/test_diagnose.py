"""`python -m bench.diagnose`: fields that it writes into records, references that it finds, and refusals."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest
from factories.cells import settings

from bench import diagnose
from bench.core.errors import SettingError
from bench.core.paths import record_stem, resolved_config
from bench.core.record import Record
from bench.core.stored_result import json_path
from bench.data.corpus_cache import open_corpus
from bench.evaluation import generation_quality
from bench.evaluation.diagnosis import ladder
from bench.run import run
from bench.training import build, reference
from bench.training.reference import candidates
from bench.verify import differences

LARGER = ["corpus.words=24000", "evaluation.test_words=null"]  # test documents enough for prompts


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> dict[str, Path]:
    """Return the records of a regressor, a classifier and a floor, in one folder."""
    folder, paths = tmp_path_factory.mktemp("cells"), {}
    for system in ("cosine", "softmax", "unigram"):
        cfg = settings(folder, *LARGER, f"system={system}")
        assert run(cfg).status == "ok"
        paths[system] = json_path(record_stem(resolved_config(cfg)))
    return paths


@pytest.fixture(autouse=True)
def small(monkeypatch, encoder):
    """A small sentence encoder, short texts and few segments."""
    reader = encoder(context="bidirectional", special_tokens="both")
    monkeypatch.setattr(diagnose, "sentence_encoder", lambda cache_dir: reader)
    monkeypatch.setattr(generation_quality, "PROMPT_WORDS", 4)
    monkeypatch.setattr(generation_quality, "WORDS", 12)
    monkeypatch.setattr(ladder, "SEGMENTS", 64)


@pytest.fixture
def said(monkeypatch, capsys):
    """Run the command; return its status and the lines of stdout and stderr."""

    def command(*arguments: object) -> tuple[object, list[str], list[str]]:
        monkeypatch.setattr(sys, "argv", ["bench.diagnose", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            diagnose.main()
        out, err = capsys.readouterr()
        return stopped.value.code, out.splitlines(), err.splitlines()

    return command


def test_records_get_their_fields_once_and_keep_all_others(cells, said):
    before = {system: Record.read(path) for system, path in cells.items()}
    status, lines, _ = said(*cells.values())
    assert status == 0 and len(lines) == 3
    for system, path in cells.items():
        record = Record.read(path)
        assert record.generation_quality["prompts"] >= generation_quality.LEAST_PROMPTS
        assert (record.diagnosis is not None) == (system == "cosine")
        fields = vars(record) | {"diagnosis": None, "generation_quality": None}
        assert fields == vars(before[system])
        assert path.with_suffix(".npz").is_file()
    found = Record.read(cells["cosine"])
    assert [*differences(before["cosine"], found)] == []  # `bench.verify` trains the cell alone
    assert found.diagnosis["reference"] == "truth"
    assert found.diagnosis["accuracy_at_1"] == pytest.approx(found.accuracy_at_1, abs=1e-6)
    better = found.diagnosis["accuracy_at_1"] + found.diagnosis["lost_to_decoding"]  # the rule chosen on validation
    assert min(abs(better - figure) for figure in (found.accuracy_at_1, found.calibrated_accuracy_at_1)) < 1e-6
    again = {path: path.read_bytes() for path in cells.values()}
    assert all("skipped: the record has these figures" in line for line in said(*cells.values())[1])
    assert {path: path.read_bytes() for path in cells.values()} == again


def test_softmax_cell_beside_a_record_is_its_reference(cells):
    record = Record.read(cells["cosine"])
    assert [*candidates(cells["cosine"], record)] == [cells["softmax"]]
    other_seed = Record(**{**vars(record), "config": record.config | {"seed": 9}})
    assert [*candidates(cells["cosine"], other_seed)] == []


def test_best_of_several_softmax_cells_on_validation_is_the_reference(cells, monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "weights_beside", lambda path, config: path)
    cosine, softmax = (Record.read(cells[system]) for system in ("cosine", "softmax"))
    for stem, better in {"a": -0.1, "b": 0.2, "c": 0.1}.items():  # nats
        dataclasses.replace(softmax, validation_nats=softmax.validation_nats - better).write(tmp_path / stem)
    found = candidates(tmp_path / "cosine.json", cosine)
    assert [path.stem for path in found] == ["b", "c", "a"]


def test_reference_of_contextual_inputs_reads_the_same_encoder(cells, monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "weights_beside", lambda path, config: path)
    cosine, softmax = (Record.read(cells[system]) for system in ("cosine", "softmax"))
    reader = {"encoder": None, "context": "causal", "window": 128, "layer": -1}

    def reading(record: Record, **settings: object) -> Record:
        system = record.config["system"] | {"name": f"{record.system} ({settings})"}
        config = record.config | {"inputs": "contextual", "targets": reader | settings, "system": system}
        return dataclasses.replace(record, system=system["name"], config=config)

    for stem, changed in {"causal": {}, "future": {"context": "bidirectional"}, "short": {"window": 8}}.items():
        reading(softmax, **changed).write(tmp_path / stem)
    softmax.write(tmp_path / "ids")
    for changed, expected in (({}, "causal"), ({"context": "bidirectional"}, "future"), ({"window": 8}, "short")):
        found = candidates(tmp_path / "cosine.json", reading(cosine, name="mine", **changed))
        assert [path.stem for path in found] == [expected]
    assert [path.stem for path in candidates(tmp_path / "cosine.json", cosine)] == ["ids"]


def test_reference_that_is_given_gives_the_gap_to_its_record(cells, said):
    status, _, _ = said(cells["cosine"], "--force", "--reference", cells["softmax"])
    assert status == 0
    found, softmax = Record.read(cells["cosine"]), Record.read(cells["softmax"])
    assert found.diagnosis["reference"] == cells["softmax"].stem
    gap = softmax.accuracy_at_1 - found.accuracy_at_1
    assert found.diagnosis["accuracy_gap"] == pytest.approx(gap, abs=1e-6)
    assert softmax.diagnosis is None


def test_diagnosis_is_measured_without_the_sentence_encoder(cells, said, monkeypatch, tmp_path):
    folder = tmp_path / "cells"
    shutil.copytree(cells["cosine"].parent, folder)
    path = folder / cells["cosine"].name
    record = json.loads(path.read_text()) | {"diagnosis": None, "generation_quality": None}
    path.write_text(json.dumps(record))

    def missing(cache_dir: str) -> None:
        raise SettingError("targets.encoder", "the encoder is not installed")

    monkeypatch.setattr(diagnose, "sentence_encoder", missing)
    status, lines, problems = said(path)
    assert (status, lines, problems[-1]) == (2, [], "targets.encoder: the encoder is not installed")
    found = Record.read(path)
    assert found.diagnosis["reference"] == "truth" and found.generation_quality is None


def test_reference_of_other_words_is_refused(cells, said, tmp_path):
    cfg = settings(tmp_path, *LARGER, "system=softmax", "vocabulary.size=150")
    run(cfg)
    other = json_path(record_stem(resolved_config(cfg)))
    status, lines, problems = said(cells["cosine"], "--force", "--reference", other)
    assert (status, lines) == (2, [])
    problem = f"{other} has another text or V than {cells['cosine']}; give a cell of its text and V"
    assert problems[-1] == f"--reference: {problem}"


def test_missing_weights_and_records_are_refused_in_one_line(cells, said, tmp_path):
    status, _, problems = said(tmp_path / "none.json")
    assert status == 2 and len(problems) == 1 and "none.json" in problems[0]
    moved = tmp_path / "elsewhere" / cells["cosine"].name
    moved.parent.mkdir()
    moved.write_bytes(cells["cosine"].read_bytes())
    status, _, problems = said(moved, "--force")
    assert status == 2 and "is missing or damaged" in problems[-1]


def changed(path: Path, folder: Path, **config: object) -> Path:
    """Copy a record with its weights, with other settings in its configuration; return the copy."""
    shutil.copytree(path.parent, folder)
    record = json.loads((folder / path.name).read_text())
    for key, value in config.items():
        record["config"][key] = record["config"][key] | value if isinstance(value, dict) else value
    (folder / path.name).write_text(json.dumps(record))
    return folder / path.name


def test_record_that_cannot_be_built_is_one_line_and_the_next_is_measured(cells, said, tmp_path):
    moved = changed(
        cells["unigram"],
        tmp_path / "a",
        corpus={"source": {"_target_": "bench.data.sources.files.text", "path": "/moved"}},
    )
    foreign = changed(cells["cosine"], tmp_path / "b", system={"head": {"_target_": "their.Mine"}})
    sound = changed(cells["softmax"], tmp_path / "c")
    status, lines, errors = said("--trust", "their.Mine", "--force", moved, foreign, sound)
    assert status == 2 and len(lines) == 1 and lines[0].startswith(sound.stem)
    assert len(errors) == 2 and "/moved" in errors[0]
    assert errors[1].startswith("system.head._target_: 'their.Mine' cannot be imported")


def test_record_of_another_user_is_measured_with_the_cache_of_this_user(cells, said, tmp_path, monkeypatch):
    theirs, caches = changed(cells["unigram"], tmp_path / "a", cache_dir="~nobody/cache"), []
    monkeypatch.setattr(diagnose, "sentence_encoder", caches.append)
    monkeypatch.setattr(diagnose, "generation_quality", lambda *_: None)
    monkeypatch.setattr(build, "open_corpus", lambda source, cache: caches.append(cache) or open_corpus(source, cache))
    monkeypatch.setenv("HEAD_BENCH_CACHE", str(tmp_path / "cache"))
    assert said("--force", theirs)[0] == 0
    assert caches == [str(tmp_path / "cache")] * 2


def test_second_judge_measures_again_only_what_it_has_not_judged(cells, said, llama_folder, tmp_path):
    judge = shutil.copytree(llama_folder, tmp_path / "judge")
    settings = json.loads((judge / "config.json").read_text())
    (judge / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": 512}))
    said(cells["unigram"])
    status, lines, _ = said("--judge", judge, cells["unigram"])
    assert status == 0 and "generation quality" in lines[0]
    quality = Record.read(cells["unigram"]).generation_quality
    assert quality["causal_judge"] == str(judge)
    assert all(quality[way]["causal_judge_perplexity"] > 1 for way in ("real", "greedy", "sampled"))
    assert "skipped" in said("--judge", judge, cells["unigram"])[1][0]
    assert "skipped" in said(cells["unigram"])[1][0]
