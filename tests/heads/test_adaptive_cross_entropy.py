"""Chunked adaptive softmax loss, compared with torch's module: value, gradients, types, memory, FLOPs."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bench.cost.flops import count_flops
from bench.cost.memory import peak_mib
from bench.heads.kernels.adaptive_cross_entropy import adaptive_cross_entropy

HIDDEN = 24


def adaptive_softmax(size: int, cutoffs: list[int]) -> nn.AdaptiveLogSoftmaxWithLoss:
    torch.manual_seed(0)
    return nn.AdaptiveLogSoftmaxWithLoss(HIDDEN, size, cutoffs, div_value=2.0, head_bias=True)


@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize(("size", "cutoffs"), [(3, [1]), (50, [10]), (1009, [100, 500]), (1009, [3, 4, 700])])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_value_and_gradients_equal_those_of_the_module(n, size, cutoffs, dtype, atol):
    clusters = adaptive_softmax(size, cutoffs).to(dtype)
    hidden, words = torch.randn(n, HIDDEN, dtype=dtype, requires_grad=True), torch.randint(size, (n,))
    loss, reference = adaptive_cross_entropy(clusters, hidden, words), clusters(hidden, words).loss
    assert_close(loss, reference, rtol=1e-6, atol=atol)
    leaves = [hidden, *clusters.parameters()]
    computed, expected = (torch.autograd.grad(3 * total, leaves, materialize_grads=True) for total in (loss, reference))
    assert_close(computed, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("words", [range(10), range(10, 30), range(30, 50)])
def test_value_equals_that_of_the_module_when_all_words_are_in_one_cluster(words):
    clusters, hidden = adaptive_softmax(50, [10, 30]), torch.randn(len(words), HIDDEN, requires_grad=True)
    words = torch.tensor(words)
    assert_close(adaptive_cross_entropy(clusters, hidden, words), clusters(hidden, words).loss)


def test_gradients_are_float32_and_near_exact_under_autocast():
    """No comparison under autocast: there, torch's module raises."""
    clusters, hidden, words = adaptive_softmax(1009, [100, 500]), torch.randn(300, HIDDEN), torch.randint(1009, (300,))
    leaves = list(clusters.parameters())
    exact = clusters(hidden, words).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = adaptive_cross_entropy(clusters, hidden, words)
    assert_close(loss, exact, rtol=2e-3, atol=0)
    for computed, expected in zip(*(torch.autograd.grad(total, leaves) for total in (loss, exact)), strict=True):
        assert computed.dtype == torch.float32
        assert 0 < (computed - expected).norm() < 0.02 * expected.norm()


def test_flops_equal_those_of_the_module():
    clusters, hidden = adaptive_softmax(1009, [100, 500]), torch.randn(300, HIDDEN, requires_grad=True)
    words = torch.randint(1009, (300,))
    chunked = count_flops(lambda: adaptive_cross_entropy(clusters, hidden, words))
    assert chunked == count_flops(lambda: clusters(hidden, words).loss)


def test_peak_memory_is_less_than_a_quarter_of_the_modules():
    clusters, hidden = adaptive_softmax(20_000, [4000, 12_000]), torch.randn(1024, HIDDEN, requires_grad=True)
    words, cpu = torch.randint(20_000, (1024,)), torch.device("cpu")
    chunked_mib = peak_mib(lambda: adaptive_cross_entropy(clusters, hidden, words).backward(), cpu)
    assert chunked_mib < 0.25 * peak_mib(lambda: clusters(hidden, words).loss.backward(), cpu)
