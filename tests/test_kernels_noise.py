"""The noise-contrastive loss against the plain one: value, gradients dense and in rows, and what it must expect.

N positions, H hidden size, V vocabulary size, d distinct draws.
"""

import pytest
import torch
import torch.nn.functional as F
from test_kernels_sampled import SHAPES, problem
from torch import Tensor
from torch.testing import assert_close

from bench.cost import StrictFlops, count_flops, peak_mib
from bench.kernels.noise_contrastive import noise_contrastive


def plain(hidden, weight, bias, words, noise, counts, true_offset, offset) -> Tensor:
    """Draw by draw, hits among them."""
    drawn = noise.repeat_interleave(counts)
    true = (hidden * F.embedding(words, weight)).sum(-1) + bias[words] + true_offset  # [N]
    others = hidden @ F.embedding(drawn, weight).T + bias[drawn] + offset.repeat_interleave(counts)  # [N, k]
    return -(F.logsigmoid(true) + F.logsigmoid(-others).sum(1)).mean()


def drawn(n: int, h: int, v: int, k: int, dtype: torch.dtype = torch.float32):
    """`problem`, whose negatives were drawn once to three times each."""
    leaves, (words, noise, *offsets) = problem(n, h, v, k, dtype)
    counts = torch.randint(1, 4, (k,), generator=torch.Generator().manual_seed(v))
    return leaves, (words, noise, counts, *offsets)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("row_sparse", [True, False])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_value_and_gradients_are_the_plain_ones(shape, row_sparse, dtype, atol):
    leaves, rest = drawn(*shape, dtype)
    ours, theirs = noise_contrastive(*leaves, *rest, row_sparse=row_sparse), plain(*leaves, *rest)
    assert_close(ours, theirs, rtol=1e-6, atol=atol)
    found = torch.autograd.grad(3 * ours, leaves)
    assert [each.is_sparse for each in found] == [False, row_sparse, row_sparse]
    expected = torch.autograd.grad(3 * theirs, leaves)
    assert_close([each.to_dense() for each in found], list(expected), rtol=1e-6, atol=atol)


def test_rows_are_those_of_the_words_and_the_noise_each_once():
    leaves, (words, noise, *rest) = drawn(130, 32, 5000, 300)
    noise_contrastive(*leaves, words, noise, *rest, row_sparse=True).backward()
    for leaf in leaves[1:]:
        assert torch.equal(leaf.grad._indices()[0], torch.cat([words, noise]).unique())


def test_a_retained_graph_gives_its_gradients_again():
    leaves, rest = drawn(20, 8, 60, 10)
    loss = noise_contrastive(*leaves, *rest, row_sparse=False)
    once, twice = (torch.autograd.grad(factor * loss, leaves, retain_graph=True) for factor in (1, 2))
    assert_close(torch.autograd.grad(loss, leaves), once, rtol=0, atol=0)
    assert_close(twice, tuple(2 * each for each in once))


def test_logits_that_no_exponential_holds_are_still_exact():
    leaves, rest = drawn(20, 8, 60, 10)
    with torch.no_grad():
        leaves[0].mul_(100)
    ours, theirs = noise_contrastive(*leaves, *rest, row_sparse=False), plain(*leaves, *rest)
    assert theirs > 1000
    assert_close(ours, theirs)
    assert_close(torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), rtol=1e-4, atol=1e-3)


def test_under_autocast_it_errs_no_more_than_the_plain_one():
    leaves, rest = drawn(200, 64, 900, 250)
    exact = [plain(*leaves, *rest), *torch.autograd.grad(plain(*leaves, *rest), leaves)]
    errors = []
    for loss_of in (lambda *given: noise_contrastive(*given, row_sparse=False), plain):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(*leaves, *rest)
        found = [loss, *torch.autograd.grad(loss, leaves)]
        assert [each.dtype for each in found] == [torch.float32] * 4
        errors.append([float((a - b).norm().detach() / b.norm().detach()) for a, b in zip(found, exact, strict=True)])
    assert all(one <= 1.1 * other + 1e-4 for one, other in zip(*errors, strict=True))
    assert errors[1][2] > 1e-5


@pytest.mark.parametrize("row_sparse", [True, False])
def test_its_flops_are_three_products_with_the_distinct_draws(row_sparse):
    leaves, rest = drawn(130, 32, 5000, 300)
    counted = count_flops(lambda: noise_contrastive(*leaves, *rest, row_sparse=row_sparse))
    assert counted == 3 * 2 * 130 * 32 * 300


def test_a_step_holds_no_more_at_a_hundred_times_the_words():
    held = []
    for size in (5000, 500_000):
        leaves, rest = drawn(130, 32, size, 300)
        step = lambda leaves=leaves, rest=rest: noise_contrastive(*leaves, *rest, row_sparse=True).backward()  # noqa: E731
        held.append(peak_mib(step, torch.device("cpu")))
    assert held[1] == pytest.approx(held[0], rel=0.05)


def test_without_gradients_only_the_loss_is_made():
    leaves, rest = drawn(130, 32, 5000, 300)
    with torch.no_grad(), StrictFlops() as counter:
        loss = noise_contrastive(*leaves, *rest, row_sparse=True)
    assert counter.flops == 2 * 130 * 32 * 300
    assert_close(loss, plain(*leaves, *rest).detach())
