"""Records survive the disk, and their paths follow from what matters."""

import copy
import dataclasses
import json

import numpy as np
import pytest
from factories.configurations import CONFIG

from bench.core.errors import SettingError
from bench.core.files import write_atomically
from bench.core.identity import OUTSIDE_IDENTITY, identity
from bench.core.record import (
    SCHEMA,
    Record,
    read_records,
    write_record,
)

CELL = {"experiment": "e", "system": "mse", "head": "MSEHead", "backbone": "lstm", "corpus": "kjv"}
RECORD = Record(
    **CELL,
    vocabulary_size=1000,
    seed=0,
    bits_per_byte=1 / 3,
    curve=[{"words": 10.0}],
    config={"a": [1, None]},
)
POSITIONS = {"rank": np.array([1, np.inf, 2.5], np.float32), "word": np.array([0, 7, 3], np.int32)}


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_record_is_read_as_it_was_written(tmp_path):
    path = write_record(RECORD, tmp_path / "deep" / "mse-1.7B", POSITIONS)
    assert path == tmp_path / "deep" / "mse-1.7B.json"
    assert names(path.parent) == {"mse-1.7B.json", "mse-1.7B.npz"}
    assert Record.read(path) == RECORD
    found = np.load(path.with_suffix(".npz"))
    assert found.keys() == POSITIONS.keys()
    for name, values in POSITIONS.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)
    assert path.stat().st_mode & 0o777 == 0o644


def test_figure_that_was_not_measured_is_null(tmp_path):
    fields = json.loads(write_record(RECORD, tmp_path / "r").read_text())
    assert fields["brier"] is None
    assert fields["schema"] == SCHEMA
    assert fields["status"] == "ok"


def test_run_without_positions_removes_those_of_an_earlier_run(tmp_path):
    write_record(RECORD, tmp_path / "r", POSITIONS)
    write_record(RECORD, tmp_path / "r")
    assert names(tmp_path) == {"r.json"}


def test_exception_while_writing_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "r.json"

    def torn(file):
        file.write(b"{")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, torn)
    assert names(tmp_path) == set()
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, torn)
    assert names(tmp_path) == {"r.json"}
    assert path.read_text() == "before"


def test_figure_that_is_not_finite_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(Record(**CELL, vocabulary_size=1, seed=0, brier=float("nan")), tmp_path / "r", POSITIONS)
    assert names(tmp_path) == set()


def change(path: str, value: object) -> dict:
    """The configuration with one setting changed."""
    config = copy.deepcopy(CONFIG)
    *groups, name = path.split(".")
    place = config
    for group in groups:
        place = place[group]
    place[name] = value
    return config


def test_identity_begins_with_system_corpus_size_and_seed():
    stem, digest = identity(CONFIG).rsplit("-", 1)
    assert stem == "softmax-kjv-v1000-s0"
    assert len(digest) == 8
    assert identity(change("system.name", "a/b c")).startswith("a_b_c-kjv-")


def test_identity_does_not_depend_on_the_order_of_settings():
    assert identity(dict(reversed(CONFIG.items()))) == identity(CONFIG)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("system.name", "mse"),
        ("system.head._target_", "MSEHead"),
        ("corpus.path", "other.txt"),
        ("vocabulary.size", 2000),
        ("optimizer.lr", 0.001),
        ("inputs", "contextual"),
        ("seed", 1),
    ],
)
def test_settings_that_change_figures_change_the_identity(setting, value):
    assert identity(change(setting, value)) != identity(CONFIG)


@pytest.mark.parametrize("setting", OUTSIDE_IDENTITY)
def test_settings_that_change_no_figure_leave_the_identity(setting):
    assert identity(change(setting, "two")) == identity(CONFIG)


def test_targets_change_the_identity_only_if_they_are_read():
    other = change("targets.level", "type")
    assert identity(other) == identity(CONFIG)
    assert identity(other | {"inputs": "contextual"}) != identity(CONFIG | {"inputs": "contextual"})
    assert CONFIG["targets"] == {"name": "bert", "level": "token"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"schema": 0}', f"has schema 0, this version reads {SCHEMA}; run its job again with force=true"),
        (
            f'{{"schema": {SCHEMA + 1}, "colour": 0}}',
            f"has schema {SCHEMA + 1}, .* update this program, or give another",
        ),
        ('{"schema": 1', "is not a record .*; move the file away, or run its job again with force=true"),
        ("[" * 100_000, "is not a record .RecursionError"),
        ("[]", "is not a record"),
        ("{}", "is not a record"),
        (f'{{"schema": {SCHEMA}, "seed": 0}}', "is not a record .*: Field required"),
    ],
)
def test_file_that_is_no_record_is_one_line(tmp_path, content, problem):
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(SettingError, match=f"^{path}: {problem}"):
        Record.read(path)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("colour", "red", "colour: Unexpected keyword argument"),
        ("brier", "0.5", "brier: Input should be a valid number"),
        ("brier", float("nan"), "brier: Input should be a finite number"),
        ("seed", 0.5, "seed: Input should be a valid integer"),
        ("curve", [{"words": None}], "curve.0.words: Input should be a valid number"),
    ],
)
def test_field_of_another_type_is_named(tmp_path, field, value, problem):
    path = write_record(RECORD, tmp_path / "r")
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(SettingError, match=rf"^{path}: is not a record \({problem}"):
        Record.read(path)


def test_record_under_another_name_is_refused(tmp_path):
    record = dataclasses.replace(RECORD, config=CONFIG)
    path = write_record(record, tmp_path / identity(CONFIG))
    assert Record.finished(path) and not Record.replaceable(path)
    assert not Record.finished(tmp_path / "nothing.json") and Record.replaceable(tmp_path / "nothing.json")
    with pytest.raises(SettingError, match="holds other settings than its name says"):
        Record.finished(path.rename(tmp_path / "other.json"))
    assert not Record.replaceable(tmp_path / "other.json")
    write_record(dataclasses.replace(record, status="failed"), tmp_path / identity(CONFIG))
    assert not Record.finished(path) and Record.replaceable(path)


def test_user_s_text_is_identified_by_its_content_alone():
    def of(path, content):
        corpus = {"name": "text", "path": path, "source": {"path": path}, "content_sha256": content}
        return identity(CONFIG | {"corpus": corpus})

    assert of("a.txt", "1") == of("/home/a.txt", "1")
    assert of("a.txt", "1") != of("a.txt", "2")
    assert of("a.txt", None) != of("b.txt", None)


def test_records_of_two_levels_are_read_in_the_order_of_their_paths(tmp_path):
    stems = ("b/y", "a/x", "z", "b/wandb/deeper")
    for stem in stems:
        write_record(RECORD, tmp_path / stem, POSITIONS)
    found = read_records([tmp_path, tmp_path / "b"])
    assert [path.relative_to(tmp_path).with_suffix("").as_posix() for path, _ in found] == [
        "a/x",
        "b/wandb/deeper",
        "b/y",
        "z",
    ]
    assert [path for path, _ in read_records([tmp_path])] == [tmp_path / f"{stem}.json" for stem in ("a/x", "b/y", "z")]
