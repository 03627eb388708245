"""The chunked adaptive softmax against torch's module: value, gradients, memory.

N positions, H hidden size, V vocabulary size.
"""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bench.cost.flops import count_flops
from bench.cost.memory import peak_mib
from bench.heads.kernels.adaptive_cross_entropy import adaptive_cross_entropy


def module(size: int, cutoffs: list[int], hidden: int = 24) -> nn.AdaptiveLogSoftmaxWithLoss:
    torch.manual_seed(0)
    return nn.AdaptiveLogSoftmaxWithLoss(hidden, size, cutoffs, div_value=2.0, head_bias=True)


@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize(("size", "cutoffs"), [(3, [1]), (50, [10]), (1009, [100, 500]), (1009, [3, 4, 700])])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_value_and_gradients_are_the_modules(n, size, cutoffs, dtype, atol):
    clusters = module(size, cutoffs).to(dtype)
    hidden, words = torch.randn(n, 24, dtype=dtype, requires_grad=True), torch.randint(size, (n,))
    ours, theirs = adaptive_cross_entropy(clusters, hidden, words), clusters(hidden, words).loss
    assert_close(ours, theirs, rtol=1e-6, atol=atol)
    leaves = [hidden, *clusters.parameters()]
    found, expected = (torch.autograd.grad(3 * loss, leaves, materialize_grads=True) for loss in (ours, theirs))
    assert_close(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("words", [range(10), range(10, 30), range(30, 50)])
def test_one_cluster_alone(words):
    clusters, hidden = module(50, [10, 30]), torch.randn(len(words), 24, requires_grad=True)
    words = torch.tensor(words)
    assert_close(adaptive_cross_entropy(clusters, hidden, words), clusters(hidden, words).loss)


def test_under_autocast_where_torchs_module_fails():
    clusters, hidden, words = module(1009, [100, 500]), torch.randn(300, 24), torch.randint(1009, (300,))
    leaves = list(clusters.parameters())
    exact = clusters(hidden, words).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = adaptive_cross_entropy(clusters, hidden, words)
    assert_close(loss, exact, rtol=2e-3, atol=0)
    for one, other in zip(*(torch.autograd.grad(each, leaves) for each in (loss, exact)), strict=True):
        assert one.dtype == torch.float32
        assert 0 < (one - other).norm() < 0.02 * other.norm()


def test_its_flops_are_the_modules():
    clusters, hidden = module(1009, [100, 500]), torch.randn(300, 24, requires_grad=True)
    words = torch.randint(1009, (300,))
    ours, theirs = (
        count_flops(loss)
        for loss in (
            lambda: adaptive_cross_entropy(clusters, hidden, words),
            lambda: clusters(hidden, words).loss,
        )
    )
    assert ours == theirs


def test_it_holds_a_fraction():
    clusters, hidden = module(20_000, [4000, 12_000]), torch.randn(1024, 24, requires_grad=True)
    words = torch.randint(20_000, (1024,))
    ours, theirs = (
        peak_mib(step, torch.device("cpu"))
        for step in (
            lambda: adaptive_cross_entropy(clusters, hidden, words).backward(),
            lambda: clusters(hidden, words).loss.backward(),
        )
    )
    assert ours < 0.25 * theirs
