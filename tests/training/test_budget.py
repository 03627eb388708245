"""Budgets end training where they say, and learning rates follow what is spent."""

from types import SimpleNamespace

import pytest
import torch

from bench.core.errors import Diverged
from bench.core.progress import Bar
from bench.training.budget import FLOOR, VALIDATION_SHARES, WARM_UP, Budget

CHECKPOINT = SimpleNamespace(due=False)  # test_resuming.py has those that are


class Run:
    """A trainer, a model and a clock that only this test moves."""

    def __init__(self, monkeypatch, **limits):
        self.now = 0.0
        monkeypatch.setattr("bench.training.budget.time.perf_counter", lambda: self.now)
        self.group = {"lr": None}
        self.logged: list[dict] = []
        logger = SimpleNamespace(log_metrics=lambda row, step: self.logged.append(row))
        optimizer = SimpleNamespace(param_groups=[self.group])
        self.trainer = SimpleNamespace(optimizers=[optimizer], should_stop=False, loggers=[logger], global_step=0)
        self.trainer.world_size = 1  # test_devices.py has several
        self.model = SimpleNamespace(lr=0.5, train=lambda: None)
        bar = Bar("cell")
        bar.update = lambda share, speed: None
        figures = {"validation_nats": 1.0}
        self.budget = Budget(
            **limits,
            look=lambda model: figures,
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


def test_words_end_it(monkeypatch):
    run = Run(monkeypatch, words=1000, seconds=None)
    assert len(run.steps(words=30, seconds=1.0)) == 34  # the first step that reaches it is the last
    assert run.budget.spent == {"words": 1020, "seconds": 34.0}
    assert run.budget.train_ms_per_1k == pytest.approx(1e6 / 30)


def test_seconds_end_it(monkeypatch):
    assert len(Run(monkeypatch, words=None, seconds=5.0).steps(words=30, seconds=0.5)) == 10


def test_whichever_comes_first_ends_it(monkeypatch):
    assert len(Run(monkeypatch, words=90, seconds=5.0).steps(words=30, seconds=0.5)) == 3


def test_the_rate_rises_then_falls_to_the_floor(monkeypatch):
    rates = Run(monkeypatch, words=1000, seconds=None).steps(words=1, seconds=0.01)
    top = max(rates)
    assert rates.index(top) == round(WARM_UP * 1000)
    assert top == pytest.approx(0.5 * (1 - (1 - FLOOR) * WARM_UP))
    assert rates == sorted(rates[:20]) + sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0.5 * FLOOR, rel=0.1)


def test_the_rates_are_the_same_at_equal_data_and_at_equal_time(monkeypatch):
    by_words = Run(monkeypatch, words=100, seconds=None).steps(words=1, seconds=0.25)
    by_seconds = Run(monkeypatch, words=None, seconds=25.0).steps(words=1, seconds=0.25)
    assert by_words == pytest.approx(by_seconds)


def test_validation_is_looked_at_on_the_way_and_at_the_end(monkeypatch):
    run = Run(monkeypatch, words=1000, seconds=None)
    run.steps(words=10, seconds=1.0)
    assert [row["words"] for row in run.budget.curve] == [share * 1000 for share in VALIDATION_SHARES]
    assert run.budget.curve[-1] == {"words": 1000, "seconds": 100.0, "flops": 10_000.0, "validation_nats": 1.0}
    assert run.logged == run.budget.curve


def test_one_large_step_is_looked_at_once(monkeypatch):
    run = Run(monkeypatch, words=10, seconds=None)
    run.steps(words=1000, seconds=1.0)
    assert len(run.budget.curve) == 1


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_it(monkeypatch, loss):
    with pytest.raises(Diverged, match=r"lower optimizer\.lr"):
        Run(monkeypatch, words=10, seconds=None).steps(words=1, seconds=1.0, loss=loss)
