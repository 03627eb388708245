"""Rank model: probabilities sum to one, with ties too, and fit the text better than the uniform distribution."""

import numpy as np
import pytest
import torch

from bench.evaluation.ranks import RankCounts, RankModel, count_ranks

UNK = 3


def all_words(scores: torch.Tensor, model: RankModel) -> torch.Tensor:
    """Return p of every word, each as the true word of a row. [V] -> [V]"""
    rows, words = scores.expand(len(scores), -1), torch.arange(len(scores))
    return (-model.nats(count_ranks(rows, words, UNK))).exp()


@pytest.mark.parametrize("size", [2 + UNK, 100, 129, 130, 50_000])
@pytest.mark.parametrize("levels", [3, 10**6])
def test_probabilities_sum_to_one_with_and_without_ties(size, levels):
    random = torch.Generator().manual_seed(0)
    scores = torch.randint(levels, (300, size), generator=random).float()
    words = torch.randint(size, (300,), generator=random)
    model = RankModel(count_ranks(scores, words, UNK), size)
    if size <= 200:
        for row in scores[:5]:
            assert float(all_words(row, model).sum()) == pytest.approx(1, abs=1e-9)
    steps = model.mass.diff()
    assert float(steps.sum() + (-model.unk_nats).exp()) == pytest.approx(1, abs=1e-12) and (steps > 0).all()


def test_probabilities_are_equal_when_scores_are_constant():
    words = torch.tensor([0, 1, 2, UNK])
    model = RankModel(count_ranks(torch.zeros(4, 50), words, UNK), 50)
    p = all_words(torch.zeros(50), model)
    known = torch.arange(50) != UNK
    assert p[known].std() < 1e-12 and float(p.sum()) == pytest.approx(1)


def test_bucket_masses_equal_hand_computed():
    """V = 6: buckets of ranks 1 | 2 | 3, 4 | 5, half a count added to each, and one tie over ranks 2 and 3."""
    rank_counts = RankCounts(
        torch.tensor([0.0, 0, 1, 4, 0]), torch.tensor([1.0, 1, 2, 1, 1]), torch.tensor([1, 1, 1, 1, 0]) > 0
    )
    model = RankModel(rank_counts, 6)
    counts = np.array([2.5, 1.0, 1.0, 1.5])  # and 1.5 for <unk>
    assert model.edges.tolist() == [0, 1, 2, 4, 5]
    np.testing.assert_allclose(model.mass.diff().numpy(), counts / 7.5)
    expected = [2.5 / 7.5, 2.5 / 7.5, (1.0 + 0.5) / 2 / 7.5, 1.5 / 7.5, 1.5 / 7.5]
    np.testing.assert_allclose((-model.nats(rank_counts)).exp().numpy(), expected)


def test_nats_of_fitted_text_are_between_true_model_and_uniform():
    random = torch.Generator().manual_seed(1)
    scores, words = torch.randn(5000, 200, generator=random), torch.randint(200, (5000,), generator=random)
    scores[torch.arange(5000), words] += 1.5
    rank_counts = count_ranks(scores, words, UNK)
    nats = RankModel(rank_counts, 200).nats(rank_counts)[rank_counts.known].mean()
    true_model = torch.nn.functional.cross_entropy(1.5 * scores, words)  # p ∝ exp(1.5 s), the model of the draws
    assert float(true_model) < float(nats) < np.log(200) - 0.5
