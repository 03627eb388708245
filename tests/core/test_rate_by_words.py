"""The learning rate of experiment=data_scaling falls with the number of training words."""

import pytest
from factories.configurations import plain

from bench.core.rate_by_words import SEARCHED_WORDS, rate_by_words


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
