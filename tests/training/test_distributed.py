"""One cell on several devices trains what it trains on one."""

import signal

import pytest
import torch
from factories.cells import SYSTEMS, settings
from safetensors.torch import load_file

from bench.core.config_check import check_config
from bench.core.errors import SettingError
from bench.core.hardware import mixed
from bench.core.paths import resolved_config, weights_path
from bench.core.signals import STOP, Stopped
from bench.run import run
from bench.training.budget import Budget
from bench.training.distributed import threads_per_rank

DETERMINATE = {"gpt2": ["system.model.dropout=0"]}  # dropout differs from device to device
INPUT = "backbone.input.weight"
TWO = ["trainer=ddp", "trainer.accelerator=cpu"]


def test_bfloat16_is_used_only_if_the_hardware_supports_it(monkeypatch):
    given = {"precision": "bf16-mixed", "otherwise": "32-true", "devices": 1}
    for there, able, chosen in ((False, True, "32-true"), (True, False, "32-true"), (True, True, "bf16-mixed")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able)
        assert mixed(**given) == {"devices": 1, "precision": chosen}


def test_number_of_streams_that_devices_do_not_divide_is_refused(tmp_path):
    with pytest.raises(SettingError, match=r"^batch.streams: 5 .* 2 devices"):
        run(settings(tmp_path, *TWO, "batch.streams=5"))


@pytest.mark.slow
@pytest.mark.parametrize("system", ["softmax", "adaptive_softmax", "cosine", "gpt2"])
def test_two_devices_train_the_same_model_as_one(tmp_path, system):
    trained = {}
    for name, more in {"one": [], "two": TWO}.items():
        cfg = settings(tmp_path / name, *SYSTEMS[system], *DETERMINATE.get(system, ["backbone.trunk.dropout=0"]), *more)
        record = run(cfg)
        assert record.status == "ok", record.reason
        trained[name] = record, load_file(weights_path(resolved_config(cfg)))
    (one, weights), (two, others) = trained.values()
    assert (two.trained_words, len(two.curve)) == (one.trained_words, len(one.curve))
    assert two.bits_per_byte == pytest.approx(one.bits_per_byte, rel=1e-4)
    for name, values in weights.items():
        apart = (others[name] - values).abs()
        if name == INPUT:  # one device writes touched rows alone, which is dense AdamW but where ε outweighs a gradient
            assert (apart > 1e-4).float().mean() < 0.03 and apart.mean() < 3e-5
        else:
            assert apart.max() < 1e-4, name


@pytest.mark.slow
def test_signal_ends_a_cell_on_two_devices_at_the_end_of_its_step(tmp_path, monkeypatch):
    """Lightning's own handler of SIGTERM would let rank 0 wait for a broadcast that rank 1 never begins."""
    cfg = settings(tmp_path, *SYSTEMS["softmax"], *TWO, "checkpoint.seconds=1000")

    def interrupted(budget: Budget, *given: object, clip=Budget.on_before_optimizer_step) -> None:
        clip(budget, *given)
        if budget.spent["words"]:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Budget, "on_before_optimizer_step", interrupted)
    with STOP.catching(), pytest.raises(Stopped, match="SIGTERM"):
        run(cfg)


@pytest.mark.parametrize("devices", ["2", "[0,1]", "auto"])
def test_several_devices_without_a_strategy_are_refused(tmp_path, devices):
    """Lightning's own strategy waits for ever for a parameter without a gradient, as adaptive softmax has."""
    with pytest.raises(SettingError, match=r"^trainer.devices: several devices need trainer=ddp"):
        check_config(resolved_config(settings(tmp_path, f"trainer.devices={devices}")))


def test_missing_gpu_is_refused_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for preset in ("gpu", "ddp"):
        with pytest.raises(SettingError, match=r"^trainer: no GPU is available"):
            check_config(resolved_config(settings(tmp_path, f"trainer={preset}")))
    check_config(resolved_config(settings(tmp_path, *TWO)))


def test_cell_fails_when_a_device_dies(monkeypatch, tmp_path):
    """The others wait for it no longer than the trainer's timeout."""
    monkeypatch.setattr("bench.training.distributed.FOLLOWER", "bench.core.errors")  # reads nothing, ends at once
    soon = ["+trainer.strategy.timeout.seconds=2", "trainer.strategy.timeout.minutes=0"]
    record = run(settings(tmp_path, *TWO, *soon))
    assert record.status == "failed" and "Timed out" in record.reason


@pytest.mark.parametrize(("chosen", "share"), [(None, 2), ("3", 4)], ids=["by the machine", "by the user"])
def test_ranks_share_the_threads_of_their_process(monkeypatch, chosen, share):
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    if chosen is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    assert threads_per_rank(2) == share
