"""Draws from distributions over the vocabulary."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from bench.evaluation.block_scores import SEGMENT, draw

ROWS = 20_000


@pytest.mark.parametrize("size", [2, SEGMENT - 1, SEGMENT, 3 * SEGMENT + 5])
def test_draws_follow_the_distribution_at_any_vocabulary_size(size):
    random = torch.Generator().manual_seed(0)
    p = torch.rand(size, generator=random).pow(3)
    if size > SEGMENT // 2:
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
