"""The learning rate of experiment=data_scaling falls with the number of training words."""

from collections import defaultdict
from pathlib import Path

import pytest
from factories.configurations import cells, composed_with_hydra, plain

from bench.core.record import Record
from bench.core.resolvers import SEARCHED_WORDS, rate_by_words


def test_rate_halves_when_words_grow_tenfold():
    assert rate_by_words(0.01, 10 * SEARCHED_WORDS) == pytest.approx(0.01 / 2, rel=0.01)


def test_searched_rate_is_kept_up_to_the_words_it_was_searched_on():
    assert rate_by_words(0.0123, SEARCHED_WORDS) == rate_by_words(0.0123, SEARCHED_WORDS // 5) == 0.0123


def test_searched_rate_is_kept_when_the_budget_is_of_seconds_alone():
    assert rate_by_words(0.0123, None) == 0.0123


def test_system_without_a_rate_gets_none():
    assert plain("+experiment=data_scaling", "system=ngram", "budget.words=1000000")["optimizer"]["lr"] is None


def test_data_scaling_takes_the_rate_of_its_words_and_of_its_system():
    def rate(*overrides: str) -> float:
        return plain("+experiment=data_scaling", *overrides)["optimizer"]["lr"]

    assert rate("system=cosine", "budget.words=300000") == rate_by_words(0.012, 300_000)
    assert rate("system=cosine", "budget.words=10000000") == rate_by_words(0.012, 10_000_000)
    assert rate("system=sampled_softmax", "budget.words=300000") == rate_by_words(0.015, 300_000)
    assert rate("system=cosine", "budget.words=300000", "optimizer.lr=1e-3") == 1e-3


def test_experiment_is_a_grid_of_rates_for_every_trained_system_of_data_scaling():
    grid, scaling = (
        composed_with_hydra(f"+experiment={name}").hydra.sweeper.params for name in ("learning_rate", "data_scaling")
    )
    assert {*grid["system"].split(","), "ngram"} == {*scaling["system"].split(",")}
    assert cells("+experiment=learning_rate") == 6 * 3 * 4


def test_passes_differ_in_the_number_of_steps_and_not_in_the_text():
    once, more = (plain("+experiment=passes", f"budget.words={words}") for words in (300000, 1000000))
    assert once["corpus"] == more["corpus"]
    assert once["corpus"]["train_words"] == once["budget"]["words"] == 300000
    assert cells("+experiment=passes", "system=cosine") == 2


GRID = (Path(__file__).parents[2] / "results" / "reference" / "learning_rate").glob("*.json")


def test_published_grid_has_its_best_rate_near_that_of_data_scaling():
    """Every system at every number of words loses at most .01 nats by a rate within a factor of two of the rule's."""
    losses = defaultdict(dict)
    for record in map(Record.read, GRID):
        cell = record.system, record.config["budget"]["words"]
        losses[cell][record.config["optimizer"]["lr"]] = record.validation_nats
    assert len(losses) == 18
    for (system, words), nats in losses.items():
        rate = plain("+experiment=data_scaling", f"system={system}", f"budget.words={words}")["optimizer"]["lr"]
        near = [each for lr, each in nats.items() if rate / 2 <= lr <= 2 * rate]
        assert min(near) <= min(nats.values()) + 0.01, (system, words)
