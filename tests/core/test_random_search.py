"""A search's draws: the same for every system, one in each twelfth of the range, and only sensible cells."""

import numpy as np
import pytest
from factories.configurations import plain

from bench.core.identity import identity
from bench.core.resolvers import log_uniform, one_of, uniform


@pytest.mark.parametrize("first", [0, 12, 120])
def test_twelve_trials_cover_every_twelfth_once(first):
    drawn = [uniform(trial, "lr") for trial in range(first, first + 12)]
    assert sorted(int(12 * each) for each in drawn) == list(range(12))
    assert drawn == [uniform(trial, "lr") for trial in range(first, first + 12)]
    assert drawn != [uniform(trial, "width") for trial in range(first, first + 12)]


def test_logarithm_is_uniform_and_choices_have_equal_shares():
    drawn = [log_uniform(trial, "lr", 1e-3, 1e-1) for trial in range(1200)]
    shares = np.histogram(np.log10(drawn), bins=4, range=(-3, -1))[0] / 1200
    np.testing.assert_allclose(shares, 0.25, atol=0.03)
    assert all(1e-3 <= each <= 1e-1 for each in drawn)
    picks = [one_of(trial, "width", [128, 192, 256]) for trial in range(12)]
    assert sorted(picks) == [128] * 4 + [192] * 4 + [256] * 4


def test_systems_draw_the_same_trials():
    searches = """
        softmax sampled_softmax adaptive_softmax nce mse cosine vmf infonce gpt2 ngram
        max_margin frozen_softmax projected_softmax initialised_softmax rescued
    """.split()
    for trial in (0, 7):
        configs = [plain("+experiment=tune", f"+search={search}", f"trial={trial}") for search in searches]
        assert len({config["optimizer"]["lr"] for config in configs}) == 1
        assert len({config["backbone"]["trunk"]["hidden_size"] for config in configs}) == 1
        assert [config["system"]["name"].split("-")[0] for config in configs] == searches


def test_number_of_a_trial_does_not_change_the_identity():
    one, other = (plain("+experiment=tune", "+search=softmax", f"trial={trial}") for trial in (1, 2))
    assert identity(one) != identity(other)
    assert identity(one) == identity({**one, "trial": 99})
