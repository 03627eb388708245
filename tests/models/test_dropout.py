"""Dropout with cheap masks: moments, gradient, limits."""

import pytest
import torch
from torch import nn

from bench.models.dropout import BitDropout

SIDE = 1000  # of the square of ones; the share of zeros then has a standard error below 0.0005


def ones(**options) -> torch.Tensor:
    return torch.ones(SIDE, SIDE, **options)


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
def test_share_of_zeros_is_p_and_the_mean_is_kept(p):
    torch.manual_seed(0)
    dropped = BitDropout(p)(ones())
    assert (dropped == 0).float().mean() == pytest.approx(p, abs=0.002)
    assert dropped.mean() == pytest.approx(1, abs=0.01)


def test_each_row_and_column_is_dropped_alike():
    torch.manual_seed(0)
    dropped = (BitDropout(0.2)(ones()) == 0).float()
    for mean in (dropped.mean(0), dropped.mean(1)):
        assert mean.std() == pytest.approx((0.2 * 0.8 / SIDE) ** 0.5, rel=0.1)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    dropped = (BitDropout(0.5)(ones()) == 0).float().flatten() - 0.5
    for lag in range(1, 9):
        assert (dropped[lag:] * dropped[:-lag]).mean() == pytest.approx(0, abs=0.002)


def test_gradient_is_the_mask_of_the_forward_pass():
    x = ones(requires_grad=True)
    dropped = BitDropout(0.2)(x)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped)


def test_seed_determines_the_mask():
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(BitDropout(0.2)(ones()))
    assert torch.equal(*masks)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("size", [0, 1, 3, 5])
def test_type_and_size_of_the_input_are_kept(dtype, size):
    x = torch.ones(size, dtype=dtype)
    assert BitDropout(0.2)(x).dtype == dtype and BitDropout(0.2)(x).shape == x.shape


def test_probability_close_to_one_leaves_finite_numbers():
    assert BitDropout(1 - 1e-9)(ones()).isfinite().all()


def test_evaluation_and_probability_zero_change_nothing_and_draw_nothing():
    x = ones()
    before = torch.get_rng_state()
    assert BitDropout(0.5).eval()(x) is x and torch.equal(BitDropout(0.0)(x), x)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(BitDropout(0.5), nn.Dropout)
