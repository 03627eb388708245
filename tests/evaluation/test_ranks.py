"""A distribution made of ranks alone: it sums to one, with ties too, and no calibration beats what it should not."""

import numpy as np
import pytest
import torch

from bench.evaluation.ranks import RankCounts, RankModel, count_ranks

UNK = 3


def all_words(scores: torch.Tensor, model: RankModel) -> torch.Tensor:
    """p of every word as the true one. [V] -> [V]"""
    rows, words = scores.expand(len(scores), -1), torch.arange(len(scores))
    return (-model.nats(count_ranks(rows, words, UNK))).exp()


@pytest.mark.parametrize("size", [2 + UNK, 100, 129, 130, 50_000])
@pytest.mark.parametrize("levels", [3, 10**6])
def test_probabilities_sum_to_one_whatever_ties(size, levels):
    random = torch.Generator().manual_seed(0)
    scores = torch.randint(levels, (300, size), generator=random).float()
    words = torch.randint(size, (300,), generator=random)
    model = RankModel(count_ranks(scores, words, UNK), size)
    if size <= 200:
        for row in scores[:5]:
            assert float(all_words(row, model).sum()) == pytest.approx(1, abs=1e-9)
    steps = model.mass.diff()
    assert float(steps.sum() + (-model.unk_nats).exp()) == pytest.approx(1, abs=1e-12) and (steps > 0).all()


def test_a_constant_head_prices_all_words_alike():
    words = torch.tensor([0, 1, 2, UNK])
    model = RankModel(count_ranks(torch.zeros(4, 50), words, UNK), 50)
    p = all_words(torch.zeros(50), model)
    known = torch.arange(50) != UNK
    assert p[known].std() < 1e-12 and float(p.sum()) == pytest.approx(1)


def test_masses_by_hand():
    """V = 6: ranks 1 | 2 | 3, 4 | 5, with half a count each, and one tie over ranks 2 and 3."""
    standing = RankCounts(
        torch.tensor([0.0, 0, 1, 4, 0]), torch.tensor([1.0, 1, 2, 1, 1]), torch.tensor([1, 1, 1, 1, 0]) > 0
    )
    model = RankModel(standing, 6)
    counts = np.array([2.5, 1.0, 1.0, 1.5])  # and 1.5 of <unk>
    assert model.edges.tolist() == [0, 1, 2, 4, 5]
    np.testing.assert_allclose(model.mass.diff().numpy(), counts / 7.5)
    expected = [2.5 / 7.5, 2.5 / 7.5, (1.0 + 0.5) / 2 / 7.5, 1.5 / 7.5, 1.5 / 7.5]
    np.testing.assert_allclose((-model.nats(standing)).exp().numpy(), expected)


def test_on_the_text_it_was_fitted_to_it_prices_no_worse_than_uniform():
    random = torch.Generator().manual_seed(1)
    scores, words = torch.randn(5000, 200, generator=random), torch.randint(200, (5000,), generator=random)
    scores[torch.arange(5000), words] += 1.5
    standing = count_ranks(scores, words, UNK)
    nats = RankModel(standing, 200).nats(standing)[standing.known].mean()
    proper = torch.nn.functional.cross_entropy(1.5 * scores, words)  # the generating model, calibrated: p ∝ exp(1.5 s)
    assert float(proper) < float(nats) < np.log(200) - 0.5
