"""A training that is cut off at any step goes on to the same weights and figures, bit by bit."""

import functools
import logging
import shutil
import signal
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from factories.cells import SYSTEMS, settings
from omegaconf import DictConfig

from bench.core.paths import record_stem, resolved_config, weights_path
from bench.core.record import Record
from bench.core.signals import STOP, Stopped
from bench.core.stored_result import json_path
from bench.run import run
from bench.training.budget import Budget
from bench.training.checkpoint import Checkpoint
from bench.training.kept_weights import load_weights
from bench.training.train import continues_training
from bench.verify import differences, distance


def cut_off(cfg: DictConfig, monkeypatch, after: int) -> None:
    """Run the cell until the n-th checkpoint, then as if the process had been killed."""
    saved, save = [], Checkpoint.save

    def save_and_die(self, trainer):
        save(self, trainer)
        saved.append(trainer.global_step)
        if len(saved) == after:
            raise Stopped("SIGKILL")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_die)
        with pytest.raises(Stopped):
            pytest.fail(run(cfg).reason)
    assert saved[-1] - saved[0] == after - 1


def same(one: Record, other: Record) -> list:
    """The figures that differ; the allocator's own by more than a hundredth."""
    assert one.status == other.status == "ok", (one.reason, other.reason)
    return [(name, *two) for name, *two in differences(one, other) if name != "peak_mib" or distance(*two) > 0.01]


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Callable[[str], tuple[DictConfig, Record]]:
    """Function that trains a system without an interruption, once for all tests of this file."""

    @functools.cache
    def trained(system: str) -> tuple[DictConfig, Record]:
        cfg = settings(tmp_path_factory.mktemp(system), *SYSTEMS[system])
        return cfg, run(cfg)

    return trained


@pytest.mark.parametrize("system", SYSTEMS)
def test_training_that_is_cut_off_twice_gives_the_same_record(straight, system, tmp_path, monkeypatch):
    _, whole = straight(system)
    cfg = settings(tmp_path / "cut", *SYSTEMS[system])
    for after in (3, 5):  # the second goes on from the first
        cut_off(cfg, monkeypatch, after)
    left = weights_path(resolved_config(cfg)).with_suffix(".ckpt")
    assert left.is_file()
    steps = torch.load(left, weights_only=True)["global_step"]
    assert steps == 8
    assert same(whole, run(cfg)) == []
    assert not left.exists()


TIMES = ("train_seconds", "train_ms_per_1k", "cpu_share")


def without_times(record: Record) -> bool:
    return {getattr(record, name) for name in TIMES} == {None} and not any("seconds" in row for row in record.curve)


def test_times_of_weights_that_another_machine_trained_are_left_out(straight, tmp_path, monkeypatch, capsys):
    cfg, whole = straight("cosine")
    weights = weights_path(resolved_config(cfg))
    again = settings(tmp_path, *SYSTEMS["cosine"])
    place = weights_path(resolved_config(again))
    place.parent.mkdir(parents=True)
    shutil.copy(weights, place)
    assert run(again).train_seconds == whole.train_seconds
    capsys.readouterr()
    monkeypatch.setattr("bench.core.provenance.cells_at_once", lambda: 2)
    shared = run(again)
    assert without_times(shared) and shared.cells_at_once == 2 and shared.bits_per_byte == whole.bits_per_byte
    machine = f"{whole.device}, cells at once: 1"
    line = f"{place.stem}: trained on {machine}; its training times are left out here"
    assert line in capsys.readouterr().err.splitlines()


def test_curve_on_another_number_of_validation_words_is_left_out(straight, tmp_path, capsys):
    cfg, whole = straight("softmax")
    weights = weights_path(resolved_config(cfg))
    again = settings(tmp_path, *SYSTEMS["softmax"], "evaluation.validation_words=300")
    place = weights_path(resolved_config(again))
    place.parent.mkdir(parents=True)
    shutil.copy(weights, place)
    other = run(again)
    assert (other.curve, other.train_seconds) == ([], whole.train_seconds) and whole.curve
    assert f"{place.stem}: its learning curve is of " in capsys.readouterr().err


def test_times_of_a_training_that_two_machines_share_are_left_out(straight, tmp_path, monkeypatch):
    _, whole = straight("cosine")
    cfg = settings(tmp_path / "cut", *SYSTEMS["cosine"])
    cut_off(cfg, monkeypatch, 3)
    with monkeypatch.context() as patch:
        patch.setattr("bench.core.provenance.cpu_name", lambda: "another processor")
        moved = run(cfg)
    assert without_times(moved) and moved.device.startswith("another processor")
    assert moved.bits_per_byte == whole.bits_per_byte


def test_continued_training_depends_on_the_random_state_of_its_checkpoint(straight, tmp_path, monkeypatch):
    """Without the restored random state, the figures differ."""
    _, whole = straight("sampled_softmax")
    cfg = settings(tmp_path / "cut", *SYSTEMS["sampled_softmax"])
    cut_off(cfg, monkeypatch, 5)
    monkeypatch.setattr("bench.training.budget.restore_random_state", lambda state: None)
    assert same(whole, run(cfg))


@pytest.mark.parametrize("harm", ["cut short", "a bit flipped"])
def test_damaged_checkpoint_is_deleted_and_training_starts_from_the_first_step(
    straight, tmp_path, monkeypatch, caplog, harm
):
    _, whole = straight("softmax")
    cfg = settings(tmp_path / "cut", *SYSTEMS["softmax"])
    cut_off(cfg, monkeypatch, 3)
    left = weights_path(resolved_config(cfg)).with_suffix(".ckpt")
    left.write_bytes(harmed(left.read_bytes(), harm))
    with caplog.at_level(logging.WARNING, "bench"):
        assert same(whole, run(cfg)) == []
    assert "is damaged" in caplog.text and "starts from the first step" in caplog.text


def test_checkpoint_of_other_code_is_deleted_and_training_starts_from_the_first_step(
    straight, tmp_path, monkeypatch, caplog
):
    _, whole = straight("softmax")
    cfg = settings(tmp_path / "cut", *SYSTEMS["softmax"])
    with monkeypatch.context() as earlier:
        earlier.setattr("bench.training.train.cell_sha256", lambda config: "the hash of earlier code")
        cut_off(cfg, monkeypatch, 3)
    with caplog.at_level(logging.WARNING, "bench"):
        assert same(whole, run(cfg)) == []
    assert caplog.text.count("was made by other code; training starts from the first step") == 1


def test_question_whether_training_continues_leaves_an_unusable_checkpoint(tmp_path):
    """It is asked before the lock of the cell is held, and the file may be that of a process that trains."""
    cfg = settings(tmp_path, *SYSTEMS["softmax"])
    config = resolved_config(cfg)
    checkpoint = weights_path(config).with_suffix(".ckpt")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("of a run with other settings")
    assert not continues_training(cfg, config, None)
    assert checkpoint.is_file()


def harmed(whole: bytes, harm: str) -> bytes:
    """Within what weights and checkpoints have of numbers."""
    middle = len(whole) // 2
    return whole[:middle] if harm == "cut short" else whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


@pytest.mark.parametrize("harm", ["cut short", "a bit flipped"])
def test_damaged_weights_are_trained_again(straight, tmp_path, harm, caplog):
    finished, whole = straight("softmax")
    shutil.copytree(finished.results_dir, tmp_path, dirs_exist_ok=True)
    cfg = settings(tmp_path, *SYSTEMS["softmax"])
    path = weights_path(resolved_config(cfg))
    path.write_bytes(harmed(path.read_bytes(), harm))
    with caplog.at_level(logging.WARNING, "bench"):
        assert same(whole, run(cfg)) == []
    assert caplog.text.count("is damaged") == 1


@pytest.mark.parametrize("begun_by_force", [True, False])
def test_forced_run_ignores_kept_weights_and_continues_from_a_forced_checkpoint_alone(
    straight, tmp_path, monkeypatch, caplog, begun_by_force
):
    finished, whole = straight("softmax")
    forced = settings(tmp_path, *SYSTEMS["softmax"], "force=true")
    cut_off(forced if begun_by_force else settings(tmp_path, *SYSTEMS["softmax"]), monkeypatch, 3)
    shutil.copytree(finished.results_dir, tmp_path, dirs_exist_ok=True)
    with caplog.at_level(logging.WARNING, "bench"):
        again = run(forced)
    assert same(whole, again) == [] and again.train_seconds != whole.train_seconds
    assert ("is of a run without force=true" in caplog.text) != begun_by_force
    assert not weights_path(resolved_config(forced)).with_suffix(".ckpt").exists()


def test_checkpoint_and_weights_on_other_pretrained_weights_are_not_used(tmp_path, monkeypatch, caplog):
    cfg = settings(tmp_path, *SYSTEMS["softmax"])

    def with_weights_of(digit: str) -> None:
        monkeypatch.setattr(
            "bench.run.pretrained_fields", lambda _: {"weights_sha256": digit * 64, "encode_seconds": None}
        )

    def trained_again() -> int:
        with caplog.at_level(logging.WARNING, "bench"):
            assert run(cfg).status == "ok"
        count = caplog.text.count("was trained with other pre-trained weights than the present ones")
        caplog.clear()
        return count

    with_weights_of("1")
    cut_off(cfg, monkeypatch, 3)
    with_weights_of("2")
    assert trained_again() == 1  # the checkpoint
    assert trained_again() == 0
    with_weights_of("3")
    assert trained_again() == 1  # the kept weights


def test_failed_run_leaves_the_sound_record_of_an_earlier_one(straight, tmp_path, monkeypatch):
    finished, whole = straight("softmax")
    shutil.copytree(finished.results_dir, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("bench.run.measure", lambda *_: (_ for _ in ()).throw(MemoryError()))
    forced = settings(tmp_path, *SYSTEMS["softmax"], "force=true")
    assert run(forced).status == "oom"
    stem = record_stem(resolved_config(forced))
    kept = Record.read(json_path(stem))
    assert (kept.status, kept.finished_at) == ("ok", whole.finished_at)
    assert stem.with_name(f"{stem.name}.npz").is_file()
    json_path(stem).write_text("damaged")
    assert run(forced).status == "oom" and Record.read(json_path(stem)).status == "oom"


def test_loaded_weights_have_the_gradients_of_the_device_for_costs(straight, tmp_path, monkeypatch):
    finished, _ = straight("softmax")
    shutil.copytree(finished.results_dir, tmp_path, dirs_exist_ok=True)
    cfg, chosen = settings(tmp_path, *SYSTEMS["softmax"]), []
    monkeypatch.setattr("bench.models.word_model.row_sparse_is_faster", lambda *_: False)
    monkeypatch.setattr(
        "bench.run.training_cost",
        lambda model, batch, precision: chosen.append((model.head.row_sparse, precision)) or {},
    )
    assert run(cfg).status == "ok"
    [(row_sparse, precision)] = chosen
    assert row_sparse is False
    with precision():
        pass


def test_weights_of_another_model_are_refused(straight):
    cfg, _ = straight("softmax")
    with pytest.raises(ValueError, match="does not fit this version's model; force=true"):
        load_weights(torch.nn.Linear(3, 3), weights_path(resolved_config(cfg)))


def test_a_full_disk_costs_the_checkpoint_alone(tmp_path, caplog):
    class Trainer(SimpleNamespace):
        def save_checkpoint(self, path, weights_only):
            raise OSError(28, "No space left on device")

    checkpoint = Checkpoint(tmp_path / "x.ckpt", seconds=0.0, source_sha256="")
    with caplog.at_level(logging.WARNING, "bench"):
        checkpoint.save(Trainer())
    assert "No space left" in caplog.text and not list(tmp_path.iterdir())


def test_a_checkpoint_is_due_by_the_clock(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("bench.training.checkpoint.time.monotonic", lambda: now)
    checkpoint = Checkpoint(tmp_path / "x.ckpt", seconds=60.0, source_sha256="")
    now = 159.0
    assert not checkpoint.due
    now = 160.0
    assert checkpoint.due
    checkpoint.save(SimpleNamespace(save_checkpoint=lambda path, weights_only: path.write_text("")))
    assert not checkpoint.due


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_training_is_followed_after_a_checkpoint(straight, tmp_path, monkeypatch, number):
    _, whole = straight("softmax")
    cfg = settings(tmp_path / "cut", *SYSTEMS["softmax"], "checkpoint.seconds=1000")

    def interrupted(budget: Budget, *given: object, validate=Budget._log_validation) -> None:
        validate(budget, *given)
        signal.raise_signal(number)

    with (
        STOP.catching(),
        pytest.raises(Stopped, match=signal.Signals(number).name),
        monkeypatch.context() as patch,
    ):
        patch.setattr(Budget, "_log_validation", interrupted)
        run(cfg)
    assert weights_path(resolved_config(cfg)).with_suffix(".ckpt").is_file()
    found = run(cfg)
    different = {name.split(".")[0] for name, *_ in same(whole, found)}
    assert not different


def test_outside_training_a_signal_is_followed_at_once():
    before = signal.getsignal(signal.SIGTERM)
    with STOP.catching(), pytest.raises(Stopped, match="SIGTERM"):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(Stopped), STOP.catching(), STOP.held_back():
        signal.raise_signal(signal.SIGTERM)
        reached = True
    assert reached
