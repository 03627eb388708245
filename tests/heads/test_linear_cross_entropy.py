"""The chunked cross-entropy against torch's plain one: value, gradients, types, what it holds and what it counts.

N positions, H hidden size, V vocabulary size.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from bench.cost.flops import count_flops
from bench.cost.memory import peak_mib
from bench.heads.kernels import linear_cross_entropy as kernel
from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy

SHAPES = [(1, 1, 1), (1, 3, 2), (127, 5, 301), (129, 64, 7), (300, 33, 1009), (700, 600, 12)]


def plain(hidden: Tensor, weight: Tensor, bias: Tensor | None, words: Tensor, ignore_index: int = -100) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight, bias), words, ignore_index=ignore_index)


def layer(n: int, h: int, v: int, dtype: torch.dtype = torch.float32, *, bias: bool = True, size: float = 1.0):
    """Leaves hidden [N, H], weight [V, H], bias [V] or None, and words [N]."""
    random = torch.Generator().manual_seed(n + h + v)
    shapes = [(n, h), (v, h), *([(v,)] if bias else [])]
    leaves = [(size * torch.randn(shape, generator=random)).to(dtype).requires_grad_() for shape in shapes]
    return [*leaves, *([] if bias else [None])], torch.randint(v, (n,), generator=random)


def gradients(loss: Tensor, leaves: list[Tensor | None]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, [leaf for leaf in leaves if leaf is not None])


@pytest.fixture(autouse=True, params=[(2**18, 2**21), (1000, 1)])
def slabs(request, monkeypatch):
    """One chunk of one slab, and many of many, the last ones smaller."""
    cached, small = request.param
    monkeypatch.setattr(kernel, "CACHED_CELLS", cached)
    monkeypatch.setattr(kernel, "SMALL_CELLS", small)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_value_and_gradients_are_the_plain_layers(shape, bias, dtype, atol):
    leaves, words = layer(*shape, dtype, bias=bias)
    ours, theirs = linear_cross_entropy(*leaves, words), plain(*leaves, words)
    assert_close(ours, theirs, rtol=1e-6, atol=atol)
    assert_close(gradients(3 * ours, leaves), gradients(3 * theirs, leaves), rtol=0, atol=atol)


def test_targets_that_are_ignored_count_for_nothing():
    leaves, words = layer(300, 16, 50)
    words[::3] = -1
    ours, theirs = linear_cross_entropy(*leaves, words, ignore_index=-1), plain(*leaves, words, -1)
    assert_close(ours, theirs)
    found = gradients(ours, leaves)
    assert_close(found, gradients(theirs, leaves), rtol=0, atol=1e-6)
    assert (found[0][::3] == 0).all() and (found[0][1::3] != 0).any()
    assert linear_cross_entropy(*leaves, torch.full_like(words, -1), ignore_index=-1).isnan()


@pytest.mark.parametrize("size", [3.0, 30.0])
def test_logits_too_large_for_an_exponential(size):
    leaves, words = layer(200, 32, 300, size=size)
    assert float(plain(*leaves, words).detach()) > 20 * size
    assert_close(linear_cross_entropy(*leaves, words), plain(*leaves, words), rtol=1e-5, atol=0)
    ours, theirs = (gradients(loss(*leaves, words), leaves) for loss in (linear_cross_entropy, plain))
    assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * size)


def test_a_sure_and_right_prediction_costs_nothing():
    hidden, weight = 60 * torch.eye(20, requires_grad=True), torch.eye(20, requires_grad=True)
    words = torch.arange(20)
    loss = linear_cross_entropy(hidden, weight, None, words)
    assert 0 <= float(loss.detach()) < 1e-6
    assert all((each.abs() < 1e-6).all() for each in gradients(loss, [hidden, weight]))


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_what_needs_no_gradient_gets_none(frozen):
    leaves, words = layer(150, 8, 40)
    expected = gradients(plain(*leaves, words), leaves)
    leaves[frozen].requires_grad_(False)
    linear_cross_entropy(*leaves, words).backward()
    for each, (leaf, gradient) in enumerate(zip(leaves, expected, strict=True)):
        if each == frozen:
            assert leaf.grad is None
        else:
            assert_close(leaf.grad, gradient, rtol=0, atol=1e-6)


def test_a_retained_graph_gives_its_gradients_again():
    leaves, words = layer(150, 8, 40)
    loss = linear_cross_entropy(*leaves, words)
    once, twice = (torch.autograd.grad(factor * loss, leaves, retain_graph=True) for factor in (1, 2))
    again = torch.autograd.grad(loss, leaves)
    assert_close(again, once, rtol=0, atol=0)
    assert_close(twice, tuple(2 * each for each in once))


def test_under_autocast_it_errs_no_more_than_the_plain_layer():
    leaves, words = layer(400, 64, 1500, size=0.5)
    exact = [plain(*leaves, words), *gradients(plain(*leaves, words), leaves)]
    errors = {}
    for loss_of in (linear_cross_entropy, plain):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(*leaves, words)
        assert loss.dtype == torch.float32
        found = [loss, *gradients(loss, leaves)]
        assert [each.dtype for each in found] == [torch.float32] * 4
        errors[loss_of] = [float((a - b).norm().detach()) for a, b in zip(found, exact, strict=True)]
    ours, theirs = errors.values()
    assert all(one <= 1.1 * other + 1e-4 for one, other in zip(ours, theirs, strict=True))
    assert theirs[2] > 1e-5  # the plain layer does err


def test_bfloat16_leaves():
    leaves, words = layer(200, 32, 300, torch.bfloat16)
    exact = [leaf.detach().float().requires_grad_() for leaf in leaves]
    loss = linear_cross_entropy(*leaves, words)
    assert loss.dtype == torch.float32  # the plain layer's is a bfloat16
    assert_close(loss, plain(*exact, words), rtol=0.01, atol=0)
    for one, other in zip(gradients(loss, leaves), gradients(plain(*exact, words), exact), strict=True):
        assert one.dtype == torch.bfloat16
        assert (one.float() - other).norm() < 0.01 * other.norm()


def test_its_flops_are_three_products():
    leaves, words = layer(300, 32, 500)
    assert count_flops(lambda: linear_cross_entropy(*leaves, words)) == 3 * 2 * 300 * 32 * 500


def test_without_gradients_it_is_one_product():
    leaves, words = layer(300, 32, 500)
    with torch.no_grad():
        loss = linear_cross_entropy(*leaves, words)
    assert_close(loss, plain(*leaves, words).detach())
    assert not loss.requires_grad


def test_it_holds_the_weights_gradient_and_a_chunk(monkeypatch):
    monkeypatch.setattr(kernel, "SMALL_CELLS", 1)
    leaves, words = layer(1024, 64, 4000)
    step = peak_mib(lambda: linear_cross_entropy(*leaves, words).backward(), torch.device("cpu"))
    weight, chunk = 4000 * 64 * 4 / 2**20, 128 * 4000 * 4 / 2**20
    assert weight + chunk < step < weight + 2.2 * chunk
    whole = peak_mib(lambda: plain(*leaves, words).backward(), torch.device("cpu"))
    assert whole > 3 * 1024 * 4000 * 4 / 2**20


def test_autograd_takes_the_gradient_without_a_copy():
    leaves, words = layer(150, 8, 40)
    loss = linear_cross_entropy(*leaves, words)
    made = [each.data_ptr() for each in loss.grad_fn.gradients]
    loss.backward()
    assert [leaf.grad.data_ptr() for leaf in leaves] == made


def test_a_small_vocabulary_is_one_chunk():
    assert kernel.chunk_tokens(torch.empty(1024, 64), 1000, torch.float32) == (1024 if kernel.SMALL_CELLS > 1 else 128)
    assert kernel.chunk_tokens(torch.empty(1024, 64), 10**6, torch.float32) == 128
    assert kernel.chunk_tokens(torch.empty(1024, 64), 10**6, torch.bfloat16) == 256
    assert kernel.chunk_tokens(torch.empty(40, 64), 10**6, torch.float32) == 40


def test_float16_products_do_not_overflow():
    leaves, words = layer(200, 32, 300, size=1.5)  # exponentials beyond what float16 holds
    with torch.autocast("cpu", dtype=torch.float16):
        loss = linear_cross_entropy(*leaves, words)
    assert_close(loss, plain(*leaves, words), rtol=5e-3, atol=0)
    for one, other in zip(gradients(loss, leaves), gradients(plain(*leaves, words), leaves), strict=True):
        assert (one - other).norm() < 0.02 * other.norm()
