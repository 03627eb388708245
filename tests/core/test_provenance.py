"""Device in the provenance of a record."""

import pytest
import torch
from factories.configurations import composed

from bench.core.paths import resolved_config
from bench.core.provenance import reproducibility_fields


@pytest.mark.parametrize(("accelerator", "is_gpu"), [("auto", True), ("gpu", True), ("cuda", True), ("cpu", False)])
def test_device_is_the_gpu_if_the_accelerator_uses_it(monkeypatch, accelerator, is_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    config = resolved_config(composed("system=softmax", f"trainer.accelerator={accelerator}"))
    assert (reproducibility_fields(config)["device"] == "a GPU") == is_gpu


def test_device_is_the_first_gpu_that_the_trainer_uses(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    for devices, name in (("1", "GPU None"), ("[1]", "GPU 1"), ("[2,3]", "GPU 2")):
        config = resolved_config(composed("system=softmax", "trainer=gpu", f"trainer.devices={devices}"))
        assert reproducibility_fields(config)["device"] == name
