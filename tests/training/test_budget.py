"""Budgets end training where they say, and learning rates follow what is spent."""

from types import SimpleNamespace

import pytest
import torch

from bench.core.errors import Diverged
from bench.core.progress import Bar
from bench.training.budget import FLOOR, VALIDATION_SHARES, WARM_UP, Budget

CHECKPOINT = SimpleNamespace(due=False)  # test_checkpoint.py has checkpoints that are due


class Run:
    """A trainer, a model and a clock that only this test moves."""

    def __init__(self, monkeypatch, **limits):
        self.now = 0.0
        monkeypatch.setattr("bench.training.budget.time.perf_counter", lambda: self.now)
        self.group = {"lr": None}
        self.logged: list[tuple[str, dict]] = []
        logger = SimpleNamespace(log_rows=self.logged.extend)
        optimizer = SimpleNamespace(param_groups=[self.group])
        self.trainer = SimpleNamespace(optimizers=[optimizer], should_stop=False, loggers=[logger], global_step=0)
        self.trainer.world_size = 1  # test_distributed.py has several
        self.model = SimpleNamespace(lr=0.5, train=lambda: None)
        bar = Bar("cell")
        bar.show = lambda share, text: None
        figures = {"validation_nats": 1.0}
        self.budget = Budget(
            **limits,
            validate=lambda: figures,
            flops_per_position=10.0,
            gradient_clip=None,
            checkpoint=CHECKPOINT,
            bar=bar,
        )

    def steps(self, words: int, seconds: float, loss: float = 1.0) -> list[float]:
        """Train until the budget is spent; the learning rate of each step."""
        rates = []
        self.budget.on_train_start(self.trainer, self.model)
        while not self.trainer.should_stop:
            batch = SimpleNamespace(trained_words=words)
            self.budget.on_train_batch_start(self.trainer, self.model, batch, 0)
            rates.append(self.group["lr"])
            self.now += seconds
            self.budget.on_train_batch_end(self.trainer, self.model, {"loss": torch.tensor(loss)}, batch, 0)
        return rates


def test_training_ends_when_its_words_are_spent(monkeypatch):
    run = Run(monkeypatch, words=1000, seconds=None)
    assert len(run.steps(words=30, seconds=1.0)) == 34  # the first step that reaches it is the last
    assert run.budget.spent == {"words": 1020, "seconds": 34.0}
    assert run.budget.train_ms_per_1k == pytest.approx(1e6 / 30)


def test_training_ends_when_its_seconds_are_spent(monkeypatch):
    assert len(Run(monkeypatch, words=None, seconds=5.0).steps(words=30, seconds=0.5)) == 10


def test_training_ends_at_the_first_limit_reached(monkeypatch):
    assert len(Run(monkeypatch, words=90, seconds=5.0).steps(words=30, seconds=0.5)) == 3


def test_learning_rate_rises_then_falls_to_the_floor(monkeypatch):
    rates = Run(monkeypatch, words=1000, seconds=None).steps(words=1, seconds=0.01)
    top = max(rates)
    assert rates.index(top) == round(WARM_UP * 1000)
    assert top == pytest.approx(0.5 * (1 - (1 - FLOOR) * WARM_UP))
    assert rates == sorted(rates[:20]) + sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0.5 * FLOOR, rel=0.1)


def test_learning_rates_are_equal_at_equal_data_and_at_equal_time(monkeypatch):
    by_words = Run(monkeypatch, words=100, seconds=None).steps(words=1, seconds=0.25)
    by_seconds = Run(monkeypatch, words=None, seconds=25.0).steps(words=1, seconds=0.25)
    assert by_words == pytest.approx(by_seconds)


def test_validation_is_measured_at_its_shares_of_the_budget(monkeypatch):
    run = Run(monkeypatch, words=1000, seconds=None)
    run.steps(words=10, seconds=1.0)
    assert [row["words"] for row in run.budget.curve] == [share * 1000 for share in VALIDATION_SHARES]
    assert run.budget.curve[-1] == {"words": 1000, "seconds": 100.0, "flops": 10_000.0, "validation_nats": 1.0}
    assert [row for kind, row in run.logged if kind == "curve"] == run.budget.curve


def test_training_loss_is_logged_at_each_hundredth_of_the_budget(monkeypatch):
    run = Run(monkeypatch, words=1000, seconds=None)
    rates = run.steps(words=5, seconds=0.5, loss=2.5)
    rows = [row for kind, row in run.logged if kind == "training"]
    assert (len(rows), rows[0]["words"], rows[-1]["words"]) == (101, 5, 1000)
    assert all((row["loss"], row["words_per_second"]) == (2.5, 10.0) for row in rows)
    assert all(row["learning_rate"] == rates[row["words"] // 5 - 1] for row in rows)


def test_rows_of_a_checkpoint_are_logged_again_when_training_continues(monkeypatch):
    run = Run(monkeypatch, words=1000, seconds=None)
    run.steps(words=100, seconds=1.0)
    other = Run(monkeypatch, words=1000, seconds=None)
    other.budget.load_state_dict({**run.budget.state_dict(), "random": None})
    other.budget.on_train_start(other.trainer, other.model)
    assert sorted(words for _, row in other.logged if (words := row["words"])) == sorted(
        words for _, row in run.logged if (words := row["words"])
    )


def test_cpu_share_is_the_training_thread_s_time_over_that_of_its_steps(monkeypatch):
    run, cpu = Run(monkeypatch, words=100, seconds=None), iter(range(1000))
    monkeypatch.setattr("bench.training.budget.time.thread_time", lambda: 0.25 * next(cpu))
    run.steps(words=10, seconds=1.0)
    assert run.budget.cpu_share == 0.25


def test_validation_is_measured_once_when_a_step_passes_all_shares(monkeypatch):
    run = Run(monkeypatch, words=10, seconds=None)
    run.steps(words=1000, seconds=1.0)
    assert len(run.budget.curve) == 1


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_training_ends_as_diverged_when_the_loss_is_not_finite(monkeypatch, loss):
    with pytest.raises(Diverged, match=r"lower optimizer\.lr"):
        Run(monkeypatch, words=10, seconds=None).steps(words=1, seconds=1.0, loss=loss)


def test_batch_in_which_no_word_begins_has_no_time_per_word(monkeypatch):
    run = Run(monkeypatch, words=100, seconds=2.0)
    run.budget.on_train_start(run.trainer, run.model)
    batch = SimpleNamespace(trained_words=0)
    run.now += 1.0
    run.budget.on_train_batch_end(run.trainer, run.model, {"loss": torch.tensor(1.0)}, batch, 0)
    assert run.budget.step_ms_per_1k == [] and run.budget.spent == {"words": 0, "seconds": 1.0}


def test_curve_of_another_validation_text_is_left_out_of_a_checkpoint(monkeypatch, capsys):
    run = Run(monkeypatch, words=100, seconds=None)
    run.budget.validation_words = 500
    run.steps(words=30, seconds=1.0)
    state, later = run.budget.state_dict(), Run(monkeypatch, words=200, seconds=None).budget
    later.validation_words = 500
    later.load_state_dict(state)
    assert later.curve == run.budget.curve != []
    later.validation_words = 900
    later.load_state_dict(state)
    assert later.curve == [] and later.validation_words == 900
    assert "learning curve is left out" in capsys.readouterr().err
