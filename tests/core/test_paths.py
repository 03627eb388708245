"""Names that users make up stay below the results folder, whatever they hold."""

import copy
from pathlib import Path

import pytest
from factories.configurations import CONFIG
from omegaconf import OmegaConf

from bench.core.errors import SettingError
from bench.core.paths import check_results_folder, folder_name, record_stem, weights_path

HOSTILE = [
    "../../x",
    "/etc/x",
    "..",
    ".",
    "",
    "a\0b",
    "a\nb",
    "~/x",
    "C:\\x",
    "x" * 300,
    "é" * 300,
    "\ud800",
    "a/../../b",
]


def named(group: str, name: str, results: Path) -> dict:
    config = copy.deepcopy(CONFIG) | {"results_dir": str(results), "experiment_name": "e"}
    if group == "experiment_name":
        return config | {"experiment_name": name}
    config[group]["name"] = name
    return config


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("group", ["system", "corpus", "experiment_name"])
def test_no_name_leaves_the_results_folder_or_outgrows_a_file_system(tmp_path, group, name):
    config = named(group, name, tmp_path)
    for path in (record_stem(config).with_name(record_stem(config).name + ".json"), weights_path(config)):
        assert path.resolve().is_relative_to(tmp_path)
        assert len(path.relative_to(tmp_path).parts) <= 3
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f".{path.name}.12345678").touch()  # as the longest temporary file


def test_names_with_equal_file_name_parts_are_different_cells(tmp_path):
    assert record_stem(named("system", "a/b", tmp_path)) != record_stem(named("system", "a_b", tmp_path))
    assert record_stem(named("system", "x" * 300, tmp_path)) != record_stem(named("system", "x" * 301, tmp_path))


def configured(folder: Path, **more: str):
    return OmegaConf.create({"results_dir": str(folder), "experiment_name": "trial-1", "hydra": {"job": "x"}} | more)


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "\ud800"])
def test_experiment_name_outside_the_results_folder_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(SettingError, match=r"^experiment_name: it names a folder"):
        check_results_folder(configured(tmp_path, experiment_name=name), [])
    assert not list(tmp_path.iterdir())


def test_experiment_name_with_combining_marks_is_refused(tmp_path):
    """Its records and its report would lie in two folders: the marks are replaced in the name of the first."""
    assert "हिन्दी".isidentifier() and folder_name("हिन्दी") != "हिन्दी"
    with pytest.raises(SettingError, match=r"^experiment_name: it names a folder"):
        check_results_folder(configured(tmp_path, experiment_name="हिन्दी"), [])


def test_check_leaves_a_sound_results_folder_unchanged(tmp_path):
    check_results_folder(configured(tmp_path), ["seed=1"])
    assert [path.name for path in tmp_path.rglob("*")] == ["trial-1"]


def test_results_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"^results_dir: .*cannot be written \(Not a directory\)"):
        check_results_folder(configured(tmp_path / "file"), [])


def test_secret_typed_as_a_setting_is_refused_before_hydra_writes_it_down(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_made_up_1234")
    for text in ("hf_made_up_1234", "${oc.env:HF_TOKEN}"):
        with pytest.raises(SettingError, match=r"^logger.entity: the secret HF_TOKEN would appear"):
            check_results_folder(configured(tmp_path), [f"+logger.entity={text}"])
    assert not list(tmp_path.iterdir())
