"""The sampled losses against plain ones: value, gradients dense and in rows, and that V is not paid for.

N positions, H hidden size, V vocabulary size, k negatives.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from bench.cost.flops import StrictFlops, count_flops
from bench.cost.memory import peak_mib
from bench.heads.kernels.noise_contrastive import noise_contrastive
from bench.heads.kernels.sampled_cross_entropy import sampled_cross_entropy

SHAPES = [(1, 1, 3, 1), (5, 3, 9, 8), (64, 17, 40, 20), (130, 32, 5000, 300)]


def plain_softmax(hidden, weight, bias, words, negatives, true_offset, offset) -> Tensor:
    true = (hidden * F.embedding(words, weight)).sum(-1) + bias[words] + true_offset  # [N]
    sampled = hidden @ F.embedding(negatives, weight).T + bias[negatives] + offset  # [N, k]
    sampled = sampled.masked_fill(negatives == words[:, None], torch.finfo(sampled.dtype).min)
    return F.cross_entropy(torch.cat([true[:, None], sampled], dim=1), torch.zeros_like(words))


def plain_logistic(hidden, weight, bias, words, noise, counts, true_offset, offset) -> Tensor:
    """Draw by draw, hits among them."""
    drawn = noise.repeat_interleave(counts)
    true = (hidden * F.embedding(words, weight)).sum(-1) + bias[words] + true_offset  # [N]
    others = hidden @ F.embedding(drawn, weight).T + bias[drawn] + offset.repeat_interleave(counts)  # [N, k]
    return -(F.logsigmoid(true) + F.logsigmoid(-others).sum(1)).mean()


def problem(n: int, h: int, v: int, k: int, dtype: torch.dtype = torch.float32):
    """Leaves [N, H], [V, H], [V]; then words [N], negatives [k] and their offsets. Words and negatives overlap."""
    random = torch.Generator().manual_seed(n + h + v + k)
    leaves = [torch.randn(s, generator=random, dtype=dtype).requires_grad_() for s in ((n, h), (v, h), (v,))]
    words = torch.randint(min(v, 2 * k), (n,), generator=random)
    negatives = torch.randperm(min(v, 3 * k), generator=random)[:k]
    offsets = [torch.randn(size, generator=random, dtype=torch.float64).to(dtype) for size in (n, k)]
    return leaves, (words, negatives, *offsets)


def drawn(n: int, h: int, v: int, k: int, dtype: torch.dtype = torch.float32):
    """`problem`, whose negatives were drawn once to three times each."""
    leaves, (words, noise, *offsets) = problem(n, h, v, k, dtype)
    counts = torch.randint(1, 4, (k,), generator=torch.Generator().manual_seed(v))
    return leaves, (words, noise, counts, *offsets)


@pytest.fixture(params=["softmax", "logistic"])
def kernel(request):
    """A loss, its plain form, and what makes their arguments."""
    softmax, logistic = (sampled_cross_entropy, plain_softmax, problem), (noise_contrastive, plain_logistic, drawn)
    return {"softmax": softmax, "logistic": logistic}[request.param]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("row_sparse", [True, False])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_value_and_gradients_are_the_plain_ones(kernel, shape, row_sparse, dtype, atol):
    loss, plain, make = kernel
    leaves, rest = make(*shape, dtype)
    ours, theirs = loss(*leaves, *rest, row_sparse=row_sparse), plain(*leaves, *rest)
    assert_close(ours, theirs, rtol=1e-6, atol=atol)
    found = torch.autograd.grad(3 * ours, leaves)
    assert [each.is_sparse for each in found] == [False, row_sparse, row_sparse]
    expected = torch.autograd.grad(3 * theirs, leaves)
    assert_close([each.to_dense() for each in found], list(expected), rtol=1e-6, atol=atol)


def test_rows_are_those_of_the_words_and_the_negatives_each_once(kernel):
    loss, _, make = kernel
    leaves, (words, negatives, *rest) = make(130, 32, 5000, 300)
    loss(*leaves, words, negatives, *rest, row_sparse=True).backward()
    touched = torch.cat([words, negatives]).unique()
    for leaf in leaves[1:]:
        assert torch.equal(leaf.grad._indices()[0], touched)  # autograd forgets that they are distinct


def test_a_retained_graph_gives_its_gradients_again(kernel):
    of, _, make = kernel
    leaves, rest = make(20, 8, 60, 10)
    loss = of(*leaves, *rest, row_sparse=False)
    once, twice = (torch.autograd.grad(factor * loss, leaves, retain_graph=True) for factor in (1, 2))
    assert_close(torch.autograd.grad(loss, leaves), once, rtol=0, atol=0)
    assert_close(twice, tuple(2 * each for each in once))


def test_logits_that_no_exponential_holds_are_still_exact(kernel):
    of, plain, make = kernel
    leaves, rest = make(20, 8, 60, 10)
    with torch.no_grad():
        leaves[0].mul_(100)
    ours, theirs = of(*leaves, *rest, row_sparse=False), plain(*leaves, *rest)
    assert theirs > 200
    assert_close(ours, theirs)
    assert_close(torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), rtol=1e-4, atol=1e-3)


def test_under_autocast_it_errs_no_more_than_the_plain_one(kernel):
    of, plain, make = kernel
    leaves, rest = make(200, 64, 900, 250)
    exact = [plain(*leaves, *rest), *torch.autograd.grad(plain(*leaves, *rest), leaves)]
    errors = []
    for loss_of in (lambda *given: of(*given, row_sparse=False), plain):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(*leaves, *rest)
        found = [loss, *torch.autograd.grad(loss, leaves)]
        assert [each.dtype for each in found] == [torch.float32] * 4
        errors.append([float(((a - b).norm() / b.norm()).detach()) for a, b in zip(found, exact, strict=True)])
    assert all(one <= 1.1 * other + 1e-4 for one, other in zip(*errors, strict=True))
    assert errors[1][2] > 1e-5


@pytest.mark.parametrize("row_sparse", [True, False])
def test_its_flops_are_three_products_with_the_negatives(kernel, row_sparse):
    loss, _, make = kernel
    leaves, rest = make(130, 32, 5000, 300)
    counted = count_flops(lambda: loss(*leaves, *rest, row_sparse=row_sparse))
    assert counted == 3 * 2 * 130 * 32 * 300


def test_a_step_holds_no_more_at_a_hundred_times_the_words(kernel):
    (loss, _, make), held = kernel, []
    for size in (5000, 500_000):
        leaves, rest = make(130, 32, size, 300)
        step = lambda leaves=leaves, rest=rest: loss(*leaves, *rest, row_sparse=True).backward()  # noqa: E731
        held.append(peak_mib(step, torch.device("cpu")))
    assert held[1] == pytest.approx(held[0], rel=0.05)


def test_without_gradients_only_the_loss_is_made(kernel):
    of, plain, make = kernel
    leaves, rest = make(130, 32, 5000, 300)
    with torch.no_grad(), StrictFlops() as counter:
        loss = of(*leaves, *rest, row_sparse=True)
    assert counter.flops == 2 * 130 * 32 * 300
    assert_close(loss, plain(*leaves, *rest).detach())
