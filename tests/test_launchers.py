"""A launcher without its plugin is one line; the presets compose; local parallelism shares out the cores."""

import json

import pytest
from hydra import compose, initialize_config_dir
from joblib import cpu_count
from test_end_to_end import bench, place, settings  # noqa: F401

from bench import launchers
from bench.cli import configuration
from bench.errors import SettingError
from bench.launchers import PLUGINS, check_launcher


def launcher(*overrides: str) -> dict:
    with initialize_config_dir(configuration(), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True).hydra


@pytest.mark.parametrize("name", PLUGINS)
def test_a_missing_plugin_is_one_line_with_the_remedy(name, monkeypatch):
    monkeypatch.setitem(launchers.PLUGINS, name, ("no-such-package", PLUGINS[name][1]))
    with pytest.raises(SettingError) as raised:
        check_launcher([f"hydra/launcher={name}"])
    line = str(raised.value)
    assert line.startswith("hydra/launcher: ") and "\n" not in line
    assert line.endswith(f"pip install 'head-bench[{PLUGINS[name][1]}]'")


def test_what_needs_no_plugin_passes():
    check_launcher(["hydra/launcher=basic", "hydra.launcher.n_jobs=2", "system=softmax"])


def test_slurm_takes_plain_keys_and_knows_how_often_to_go_on():
    hydra = launcher("hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.gpus_per_node=1")
    assert hydra.launcher._target_.endswith("submitit_launcher.SlurmLauncher")
    assert (hydra.launcher.partition, hydra.launcher.gpus_per_node) == ("gpu", 1)
    assert hydra.launcher.max_num_timeout > 0 and hydra.launcher.signal_delay_s < 60 * hydra.launcher.timeout_min
    assert set(hydra.callbacks) == {"slurm", "sweep"}


@pytest.mark.slow
def test_joblib_shares_out_the_cores(place, monkeypatch, tmp_path):  # noqa: F811
    """Two cells at a time: each takes half the cores, and both leave their record."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    text, parallel = f"corpus.path={place}/text.txt", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    run = bench(tmp_path, *settings("unigram", "softmax"), text, "logger=none", *parallel)
    assert run.returncode == 0, run.stdout + run.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "smoke").glob("*.json")]
    assert sorted(record["system"] for record in records) == ["softmax", "unigram"]
    assert {record["device"].split(", ")[-1] for record in records} == {f"{max(1, cpu_count() // 2)} threads"}
