"""Draws from distributions over the vocabulary."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from bench.evaluation import calibration
from bench.evaluation.block_scores import SLAB, draw, masses, words_at
from bench.evaluation.calibration import cached_rows

ROWS = 20_000


@pytest.mark.parametrize("size", [2, SLAB - 1, SLAB, 3 * SLAB + 5])
def test_draws_follow_the_distribution_at_any_vocabulary_size(size):
    random = torch.Generator().manual_seed(0)
    p = torch.rand(size, generator=random).pow(3)
    if size > SLAB // 2:
        p[::7] = 0  # never drawn, the first word included
    p /= p.sum()
    drawn = draw(p.expand(ROWS, -1), 3, random)
    assert drawn.shape == (ROWS, 3) and drawn.dtype == torch.int64
    counts = np.bincount(drawn.flatten().numpy(), minlength=size)
    assert len(counts) == size and counts[p.numpy() == 0].sum() == 0
    share = p.double().numpy()
    likely = share > 1e-4
    expected = counts[likely].sum() * share[likely] / share[likely].sum()
    assert chisquare(counts[likely], expected).pvalue > 1e-3


def test_draws_of_one_row_are_independent_of_each_other_and_of_other_rows():
    random = torch.Generator().manual_seed(1)
    p = torch.tensor([0.3, 0.3, 0.4]).repeat(ROWS, 1)
    p[1::2] = torch.tensor([0.0, 1.0, 0.0])
    one, other = draw(p, 2, random).T
    assert (one[1::2] == 1).all() and (other[1::2] == 1).all()
    agree = float((one[::2] == other[::2]).float().mean())
    assert agree == pytest.approx(0.3**2 + 0.3**2 + 0.4**2, abs=3.5 * (0.34 * 0.66 / (ROWS / 2)) ** 0.5)


@pytest.mark.parametrize("size", [5, SLAB, 2 * SLAB + 1])
def test_words_lie_at_shares_of_the_cumulative_distribution_when_weights_are_scaled(size):
    random = torch.Generator().manual_seed(2)
    p, uniform = torch.rand(40, size, generator=random), torch.rand(40, 3, generator=random)
    expected = np.array([np.searchsorted(row.cumsum(), share * row.sum(), side="right")
                         for row, share in zip(p.double().numpy(), uniform.double().numpy(), strict=True)])  # fmt: skip
    for weights in (p, p * 2**-20):
        found = words_at(masses(weights), uniform, size, lambda words, weights=weights: weights.gather(1, words))
        np.testing.assert_array_equal(found, expected)
    last = words_at(masses(p), torch.full_like(uniform, 1 - 2**-24), size, lambda words: p.gather(1, words))
    assert (last == size - 1).all()


def test_rows_that_stay_in_the_cache_are_the_whole_block_in_order(monkeypatch):
    monkeypatch.setattr(calibration, "CACHED_CELLS", 3 * 7)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    scores, words = torch.randn(10, 7), torch.arange(10)
    pieces = list(cached_rows(scores, words))
    assert [len(rows) for rows, _ in pieces] == [3, 3, 3, 1]
    for whole, parts in zip((scores, words), zip(*pieces, strict=True), strict=True):
        assert torch.equal(torch.cat(parts), whole)
    assert [len(rows) for (rows,) in cached_rows(torch.zeros(2, 50))] == [1, 1]
