"""Sampled losses, compared with simple reference losses: value, gradients, types, memory and FLOPs independent of V.

N positions, H hidden size, V vocabulary size, k negatives.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from bench.cost.flops import StrictFlops, count_flops
from bench.cost.memory import peak_mib
from bench.heads.kernels.noise_contrastive import noise_contrastive
from bench.heads.kernels.sampled_cross_entropy import sampled_cross_entropy

Arguments = tuple[list[Tensor], tuple[Tensor, ...]]  # leaves; tensors without a gradient

SHAPES = [(1, 1, 3, 1), (5, 3, 9, 8), (64, 17, 40, 20), (130, 32, 5000, 300)]


def reference_softmax(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    words: Tensor,
    negatives: Tensor,
    true_offset: Tensor,
    negative_offset: Tensor,
) -> Tensor:
    """Compute the cross-entropy from a mask of the negatives that equal the true word."""
    true = (hidden * F.embedding(words, weight)).sum(-1) + bias[words] + true_offset  # [N]
    sampled = hidden @ F.embedding(negatives, weight).T + bias[negatives] + negative_offset  # [N, k]
    sampled = sampled.masked_fill(negatives == words[:, None], torch.finfo(sampled.dtype).min)
    return F.cross_entropy(torch.cat([true[:, None], sampled], dim=1), torch.zeros_like(words))


def reference_logistic(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    words: Tensor,
    noise: Tensor,
    counts: Tensor,
    true_offset: Tensor,
    noise_offset: Tensor,
) -> Tensor:
    """Compute the logistic loss over each single draw, draws of the true word included."""
    draws = noise.repeat_interleave(counts)
    true = (hidden * F.embedding(words, weight)).sum(-1) + bias[words] + true_offset  # [N]
    others = hidden @ F.embedding(draws, weight).T + bias[draws] + noise_offset.repeat_interleave(counts)  # [N, draws]
    return -(F.logsigmoid(true) + F.logsigmoid(-others).sum(1)).mean()


def softmax_inputs(n: int, h: int, v: int, k: int, dtype: torch.dtype = torch.float32) -> Arguments:
    """Draw leaves [N, H], [V, H], [V]; words [N] and negatives [k], which overlap; their offsets [N], [k]."""
    random = torch.Generator().manual_seed(n + h + v + k)
    leaves = [torch.randn(s, generator=random, dtype=dtype).requires_grad_() for s in ((n, h), (v, h), (v,))]
    words = torch.randint(min(v, 2 * k), (n,), generator=random)
    negatives = torch.randperm(min(v, 3 * k), generator=random)[:k]
    offsets = [torch.randn(size, generator=random, dtype=torch.float64).to(dtype) for size in (n, k)]
    return leaves, (words, negatives, *offsets)


def logistic_inputs(n: int, h: int, v: int, k: int, dtype: torch.dtype = torch.float32) -> Arguments:
    """Draw `softmax_inputs`, and counts [k] of one to three draws per negative."""
    leaves, (words, noise, *offsets) = softmax_inputs(n, h, v, k, dtype)
    counts = torch.randint(1, 4, (k,), generator=torch.Generator().manual_seed(v))
    return leaves, (words, noise, counts, *offsets)


class Kernel(NamedTuple):
    """Loss under test, its reference, and a function that draws arguments of both."""

    loss: Callable[..., Tensor]
    reference: Callable[..., Tensor]
    inputs: Callable[..., Arguments]


KERNELS = {
    "softmax": Kernel(sampled_cross_entropy, reference_softmax, softmax_inputs),
    "logistic": Kernel(noise_contrastive, reference_logistic, logistic_inputs),
}


@pytest.fixture(params=KERNELS)
def kernel(request) -> Kernel:
    return KERNELS[request.param]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("row_sparse", [True, False])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_value_and_gradients_equal_the_reference(kernel, shape, row_sparse, dtype, atol):
    leaves, rest = kernel.inputs(*shape, dtype)
    loss, reference = kernel.loss(*leaves, *rest, row_sparse=row_sparse), kernel.reference(*leaves, *rest)
    assert_close(loss, reference, rtol=1e-6, atol=atol)
    computed = torch.autograd.grad(3 * loss, leaves)
    assert [gradient.is_sparse for gradient in computed] == [False, row_sparse, row_sparse]
    expected = torch.autograd.grad(3 * reference, leaves)
    assert_close([gradient.to_dense() for gradient in computed], list(expected), rtol=1e-6, atol=atol)


def test_sparse_gradient_holds_each_row_of_words_and_negatives_once(kernel):
    leaves, (words, negatives, *rest) = kernel.inputs(130, 32, 5000, 300)
    kernel.loss(*leaves, words, negatives, *rest, row_sparse=True).backward()
    touched = torch.cat([words, negatives]).unique()
    for leaf in leaves[1:]:
        assert torch.equal(leaf.grad._indices()[0], touched)  # raw ids: autograd clears the flag that they are distinct


def test_second_backward_pass_of_a_retained_graph_gives_the_same_gradients(kernel):
    leaves, rest = kernel.inputs(20, 8, 60, 10)
    loss = kernel.loss(*leaves, *rest, row_sparse=False)
    once, twice = (torch.autograd.grad(factor * loss, leaves, retain_graph=True) for factor in (1, 2))
    assert_close(torch.autograd.grad(loss, leaves), once, rtol=0, atol=0)
    assert_close(twice, tuple(2 * gradient for gradient in once))


def test_loss_is_exact_when_exponentials_of_logits_overflow(kernel):
    leaves, rest = kernel.inputs(20, 8, 60, 10)
    with torch.no_grad():
        leaves[0].mul_(100)
    loss, reference = kernel.loss(*leaves, *rest, row_sparse=False), kernel.reference(*leaves, *rest)
    assert reference > 200
    assert_close(loss, reference)
    assert_close(torch.autograd.grad(loss, leaves), torch.autograd.grad(reference, leaves), rtol=1e-4, atol=1e-3)


def test_error_under_autocast_is_at_most_that_of_the_reference(kernel):
    leaves, rest = kernel.inputs(200, 64, 900, 250)
    exact = [kernel.reference(*leaves, *rest), *torch.autograd.grad(kernel.reference(*leaves, *rest), leaves)]
    errors = []  # relative, of loss and gradients: kernel, reference
    for loss_function, options in ((kernel.loss, {"row_sparse": False}), (kernel.reference, {})):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_function(*leaves, *rest, **options)
        computed = [loss, *torch.autograd.grad(loss, leaves)]
        assert [tensor.dtype for tensor in computed] == [torch.float32] * 4
        errors.append([float(((a - b).norm() / b.norm()).detach()) for a, b in zip(computed, exact, strict=True)])
    assert all(ours <= 1.1 * reference + 1e-4 for ours, reference in zip(*errors, strict=True))
    assert errors[1][2] > 1e-5  # bfloat16 was used


@pytest.mark.parametrize("row_sparse", [True, False])
def test_flops_are_three_products_with_the_negatives(kernel, row_sparse):
    leaves, rest = kernel.inputs(130, 32, 5000, 300)
    counted = count_flops(lambda: kernel.loss(*leaves, *rest, row_sparse=row_sparse))
    assert counted == 3 * 2 * 130 * 32 * 300


def test_peak_memory_of_a_step_is_unchanged_when_v_is_a_hundred_times_larger(kernel):
    peaks = []
    for size in (5000, 500_000):
        leaves, rest = kernel.inputs(130, 32, size, 300)
        step = lambda leaves=leaves, rest=rest: kernel.loss(*leaves, *rest, row_sparse=True).backward()  # noqa: E731
        peaks.append(peak_mib(step, torch.device("cpu")))
    assert peaks[1] == pytest.approx(peaks[0], rel=0.05)


def test_loss_without_gradients_takes_one_product(kernel):
    leaves, rest = kernel.inputs(130, 32, 5000, 300)
    with torch.no_grad(), StrictFlops() as counter:
        loss = kernel.loss(*leaves, *rest, row_sparse=True)
    assert counter.flops == 2 * 130 * 32 * 300
    assert_close(loss, kernel.reference(*leaves, *rest).detach())
