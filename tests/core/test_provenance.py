"""Device and number of cells at once in the provenance of a record."""

from types import SimpleNamespace

import joblib
import pytest
import torch
from factories.configurations import composed
from hydra.types import RunMode

from bench.core import provenance
from bench.core.paths import resolved_config
from bench.core.provenance import cells_at_once, reproducibility_fields


@pytest.mark.parametrize(("accelerator", "is_gpu"), [("auto", True), ("gpu", True), ("cuda", True), ("cpu", False)])
def test_device_is_the_gpu_if_the_accelerator_uses_it(monkeypatch, accelerator, is_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    config = resolved_config(composed("system=softmax", f"trainer.accelerator={accelerator}"))
    assert (reproducibility_fields(config)["device"] == "a GPU") == is_gpu


@pytest.mark.parametrize(
    ("launcher", "in_slurm_job", "expected"),
    [
        ({}, False, 1),
        ({}, True, None),
        ({"n_jobs": 8}, True, 8),
        ({"n_jobs": -1}, False, joblib.cpu_count()),
        ({"n_jobs": -1000}, False, 1),
    ],
)
def test_cells_at_once_are_those_of_the_launcher(monkeypatch, launcher, in_slurm_job, expected):
    class Config:
        initialized = staticmethod(lambda: True)
        get = staticmethod(lambda: SimpleNamespace(mode=RunMode.MULTIRUN, launcher=launcher))

    monkeypatch.setattr(provenance, "HydraConfig", Config)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if in_slurm_job:
        monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert cells_at_once() == expected
