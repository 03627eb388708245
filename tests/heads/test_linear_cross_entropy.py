"""Chunked linear cross-entropy, compared with torch's unfused one: value, gradients, types, memory, FLOPs.

N positions, H hidden size, V vocabulary size.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from bench.cost.flops import StrictFlops, count_flops
from bench.cost.memory import peak_mib
from bench.heads.kernels import bfloat16_gradients
from bench.heads.kernels import chunked_gradients as kernel
from bench.heads.kernels import linear_cross_entropy as linear_cross_entropy_module
from bench.heads.kernels.chunked_gradients import Layer, gradients_by_chunks
from bench.heads.kernels.linear_cross_entropy import linear_cross_entropy, loss_and_gradients

SHAPES = [(1, 1, 1), (1, 3, 2), (127, 5, 301), (129, 64, 7), (300, 33, 1009), (700, 600, 12)]


def unfused(hidden: Tensor, weight: Tensor, bias: Tensor | None, words: Tensor, ignore_index: int = -100) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight, bias), words, ignore_index=ignore_index)


def inputs(
    n: int, h: int, v: int, dtype: torch.dtype = torch.float32, *, bias: bool = True, scale: float = 1.0
) -> tuple[list[Tensor | None], Tensor]:
    """Draw leaves of standard deviation `scale`, hidden [N, H], weight [V, H], bias [V] or None; and words [N]."""
    random = torch.Generator().manual_seed(n + h + v)
    shapes = [(n, h), (v, h), *([(v,)] if bias else [])]
    leaves = [(scale * torch.randn(shape, generator=random)).to(dtype).requires_grad_() for shape in shapes]
    return [*leaves, *([] if bias else [None])], torch.randint(v, (n,), generator=random)


def gradients(loss: Tensor, leaves: list[Tensor | None]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, [leaf for leaf in leaves if leaf is not None])


@pytest.fixture(autouse=True)
def bfloat16_hardware(monkeypatch):
    """Run each test as on hardware that computes in bfloat16."""
    monkeypatch.setattr(linear_cross_entropy_module, "computes_bf16", lambda _: True)


@pytest.fixture(autouse=True, params=[(2**18, 2**21), (1000, 1)])
def chunking(request, monkeypatch):
    """Run each test with one chunk of one slab, and with many chunks of many slabs, the last ones smaller."""
    cached, small = request.param
    monkeypatch.setattr(linear_cross_entropy_module, "LOGITS_AT_ONCE", {})
    monkeypatch.setattr(kernel, "CACHED_CELLS", cached)
    monkeypatch.setattr(kernel, "SMALL_CELLS", small)
    monkeypatch.setattr(bfloat16_gradients, "SLAB_CELLS", 4 * cached)
    monkeypatch.setattr(bfloat16_gradients, "CHUNK_CELLS", small)
    monkeypatch.setattr(bfloat16_gradients, "LEAST_TOKENS", 64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_value_and_gradients_equal_those_of_the_unfused_layer(shape, bias, dtype, atol):
    leaves, words = inputs(*shape, dtype, bias=bias)
    loss, reference = linear_cross_entropy(*leaves, words), unfused(*leaves, words)
    assert_close(loss, reference, rtol=1e-6, atol=atol)
    assert_close(gradients(3 * loss, leaves), gradients(3 * reference, leaves), rtol=0, atol=atol)


def test_ignored_positions_affect_neither_loss_nor_gradients():
    leaves, words = inputs(300, 16, 50)
    words[::3] = -1
    loss, reference = linear_cross_entropy(*leaves, words, ignore_index=-1), unfused(*leaves, words, -1)
    assert_close(loss, reference)
    computed = gradients(loss, leaves)
    assert_close(computed, gradients(reference, leaves), rtol=0, atol=1e-6)
    assert (computed[0][::3] == 0).all() and (computed[0][1::3] != 0).any()
    assert linear_cross_entropy(*leaves, torch.full_like(words, -1), ignore_index=-1).isnan()


@pytest.mark.parametrize("scale", [3.0, 30.0])
def test_loss_is_exact_when_exponentials_of_logits_overflow(scale):
    leaves, words = inputs(200, 32, 300, scale=scale)
    assert float(unfused(*leaves, words).detach()) > 20 * scale
    assert_close(linear_cross_entropy(*leaves, words), unfused(*leaves, words), rtol=1e-5, atol=0)
    computed, expected = (gradients(loss(*leaves, words), leaves) for loss in (linear_cross_entropy, unfused))
    assert_close(computed, expected, rtol=1e-3, atol=1e-5 * scale)


def test_loss_and_gradients_vanish_when_predictions_are_certain_and_right():
    hidden, weight = 60 * torch.eye(20, requires_grad=True), torch.eye(20, requires_grad=True)
    words = torch.arange(20)
    loss = linear_cross_entropy(hidden, weight, None, words)
    assert 0 <= float(loss.detach()) < 1e-6
    assert all((gradient.abs() < 1e-6).all() for gradient in gradients(loss, [hidden, weight]))


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_leaf_gets_no_gradient_and_other_gradients_are_unchanged(frozen):
    leaves, words = inputs(150, 8, 40)
    expected = gradients(unfused(*leaves, words), leaves)
    leaves[frozen].requires_grad_(False)
    linear_cross_entropy(*leaves, words).backward()
    for number, (leaf, gradient) in enumerate(zip(leaves, expected, strict=True)):
        if number == frozen:
            assert leaf.grad is None
        else:
            assert_close(leaf.grad, gradient, rtol=0, atol=1e-6)


def test_second_backward_pass_of_a_retained_graph_gives_the_same_gradients():
    leaves, words = inputs(150, 8, 40)
    loss = linear_cross_entropy(*leaves, words)
    once, twice = (torch.autograd.grad(factor * loss, leaves, retain_graph=True) for factor in (1, 2))
    again = torch.autograd.grad(loss, leaves)
    assert_close(again, once, rtol=0, atol=0)
    assert_close(twice, tuple(2 * gradient for gradient in once))


def test_error_under_autocast_is_at_most_that_of_the_unfused_layer():
    leaves, words = inputs(400, 64, 1500, scale=0.5)
    exact = [unfused(*leaves, words), *gradients(unfused(*leaves, words), leaves)]
    errors = []  # of loss and gradients: chunked, unfused
    for loss_function in (linear_cross_entropy, unfused):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_function(*leaves, words)
        assert loss.dtype == torch.float32
        computed = [loss, *gradients(loss, leaves)]
        assert [tensor.dtype for tensor in computed] == [torch.float32] * 4
        errors.append([float((a - b).norm().detach()) for a, b in zip(computed, exact, strict=True)])
    assert all(chunked <= 1.1 * unfused + 1e-4 for chunked, unfused in zip(*errors, strict=True))
    assert errors[1][2] > 1e-5  # bfloat16 was used


def test_bfloat16_leaves_give_a_float32_loss_and_bfloat16_gradients():
    leaves, words = inputs(200, 32, 300, torch.bfloat16)
    exact = [leaf.detach().float().requires_grad_() for leaf in leaves]
    loss = linear_cross_entropy(*leaves, words)
    assert loss.dtype == torch.float32  # the unfused layer returns bfloat16
    assert_close(loss, unfused(*exact, words), rtol=0.01, atol=0)
    for computed, expected in zip(gradients(loss, leaves), gradients(unfused(*exact, words), exact), strict=True):
        assert computed.dtype == torch.bfloat16
        assert (computed.float() - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize("required", [[True, True, True], [True, False, False], [False, True, False], [False] * 3])
def test_flops_equal_torchs_count_of_the_products_inside(required):
    leaves, words = inputs(300, 32, 500)
    arguments = *leaves, words, -100, torch.float32, required
    with FlopCounterMode(display=False) as inside:
        loss_and_gradients(*arguments)
    with torch.no_grad(), StrictFlops() as counter:
        torch.ops.bench.linear_cross_entropy(*arguments)
    assert counter.flops == inside.get_total_flops() == (1 + sum(required[:2])) * 2 * 300 * 32 * 500


@pytest.mark.parametrize("enabled", [False, True])
def test_flops_of_a_step_are_three_products_in_both_precisions(enabled):
    leaves, words = inputs(300, 32, 500)
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        assert count_flops(lambda: linear_cross_entropy(*leaves, words)) == 3 * 2 * 300 * 32 * 500


def test_loss_without_gradients_takes_one_product():
    leaves, words = inputs(300, 32, 500)
    with torch.no_grad(), StrictFlops() as counter:
        loss = linear_cross_entropy(*leaves, words)
    assert counter.flops == 2 * 300 * 32 * 500
    assert_close(loss, unfused(*leaves, words).detach())
    assert not loss.requires_grad


def test_peak_memory_is_the_gradient_of_the_weight_and_one_chunk(monkeypatch):
    monkeypatch.setattr(kernel, "SMALL_CELLS", 1)
    leaves, words = inputs(1024, 64, 4000)
    step_mib = peak_mib(lambda: linear_cross_entropy(*leaves, words).backward(), torch.device("cpu"))
    weight_mib, chunk_mib = 4000 * 64 * 4 / 2**20, 128 * 4000 * 4 / 2**20
    assert weight_mib + chunk_mib < step_mib < weight_mib + 2.2 * chunk_mib
    unfused_mib = peak_mib(lambda: unfused(*leaves, words).backward(), torch.device("cpu"))
    assert unfused_mib > 3 * 1024 * 4000 * 4 / 2**20


def test_autograd_takes_gradients_without_a_copy():
    leaves, words = inputs(150, 8, 40)
    loss = linear_cross_entropy(*leaves, words)
    addresses = [gradient.data_ptr() for gradient in loss.grad_fn.gradients]
    loss.backward()
    assert [leaf.grad.data_ptr() for leaf in leaves] == addresses


def test_chunk_is_larger_when_the_vocabulary_is_small():
    assert kernel.chunk_tokens(torch.empty(1024, 64), 1000, torch.float32) == (1024 if kernel.SMALL_CELLS > 1 else 128)
    assert kernel.chunk_tokens(torch.empty(1024, 64), 10**6, torch.float32) == 128
    assert kernel.chunk_tokens(torch.empty(1024, 64), 10**6, torch.bfloat16) == 256
    assert kernel.chunk_tokens(torch.empty(40, 64), 10**6, torch.float32) == 40
    assert kernel.chunk_tokens(torch.empty(1024, 300), 10**6, torch.float32) == 300


@pytest.mark.parametrize(("count", "tokens"), [(1, 1), (15, 15), (300, 128), (560, 256), (575, 256), (1024, 300)])
def test_chunks_cover_all_positions_and_rows_of_exponentials_are_aligned(count, tokens):
    spans = kernel.split_positions(count, tokens)
    assert [i for span in spans for i in range(count)[span]] == list(range(count))
    assert all(span.start % kernel.ALIGNED == 0 for span in spans)
    assert max(span.stop - span.start for span in spans) < 1.5 * tokens + kernel.ALIGNED


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_bfloat16_value_and_gradients_are_near_those_of_the_unfused_layer_in_float32(shape, bias):
    leaves, words = inputs(*shape, bias=bias, scale=0.5)
    reference = unfused(*leaves, words)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_cross_entropy(*leaves, words)
    assert_close(loss, reference, rtol=2e-3, atol=2e-3)
    for computed, expected in zip(gradients(2 * loss, leaves), gradients(2 * reference, leaves), strict=True):
        assert (computed - expected).norm() <= 0.02 * expected.norm() + 1e-3


def test_bfloat16_ignored_positions_affect_neither_loss_nor_gradients():
    leaves, words = inputs(300, 16, 50)
    words[::3] = -1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, none = (linear_cross_entropy(*leaves, ids, ignore_index=-1) for ids in (words, words * 0 - 1))
    reference = unfused(*leaves, words, -1)
    assert none.isnan()
    assert_close(loss, reference, rtol=5e-3, atol=0)
    computed = gradients(loss, leaves)
    assert (computed[0][::3] == 0).all()
    for one, other in zip(computed, gradients(reference, leaves), strict=True):
        assert (one - other).norm() < 0.01 * other.norm()


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_bfloat16_frozen_leaf_gets_no_gradient_and_other_gradients_are_unchanged(frozen):
    leaves, words = inputs(150, 8, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = gradients(linear_cross_entropy(*leaves, words), leaves)
        leaves[frozen].requires_grad_(False)
        linear_cross_entropy(*leaves, words).backward()
    kept = [(leaf.grad, each) for leaf, each in zip(leaves, expected, strict=True) if leaf.requires_grad]
    assert leaves[frozen].grad is None and len(kept) == 2
    assert all(torch.equal(*pair) for pair in kept)


def test_bfloat16_logits_far_above_the_true_words_do_not_overflow():
    leaves, words = inputs(150, 16, 40, scale=6)  # a logit exceeds the true word's by 200 and more
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_cross_entropy(*leaves, words)
    reference = unfused(*leaves, words)
    assert reference > 100
    assert_close(loss, reference, rtol=5e-3, atol=0)
    for one, other in zip(gradients(loss, leaves), gradients(reference, leaves), strict=True):
        assert (one - other).norm() < 0.05 * other.norm()


def test_bfloat16_gradients_by_chunks_are_near_those_of_the_bfloat16_kernel():
    """GPUs, and CPUs without hardware for bfloat16, compute by chunks."""
    leaves, words = inputs(300, 33, 1009, scale=0.5)
    hidden, weight, bias = (leaf.detach() for leaf in leaves)
    layer = Layer(hidden, weight, bias, words, torch.full((300,), 1 / 300), torch.bfloat16)
    loss, by_chunks = gradients_by_chunks(layer, [True] * 3)
    expected, *in_bfloat16 = loss_and_gradients(hidden, weight, bias, words, -100, torch.bfloat16, [True] * 3)
    assert_close(loss, expected, rtol=1e-3, atol=0)
    for one, other in zip(by_chunks, in_bfloat16, strict=True):
        assert 0 < (one - other).norm() < 0.02 * other.norm()


def test_float16_products_do_not_overflow():
    leaves, words = inputs(200, 32, 300, scale=1.5)  # exponentials exceed the range of float16
    with torch.autocast("cpu", dtype=torch.float16):
        loss = linear_cross_entropy(*leaves, words)
    assert_close(loss, unfused(*leaves, words), rtol=5e-3, atol=0)
    for computed, expected in zip(gradients(loss, leaves), gradients(unfused(*leaves, words), leaves), strict=True):
        assert (computed - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_all_logits_are_computed_at_once_up_to_the_limit_of_the_device(kind, monkeypatch):
    monkeypatch.setattr(linear_cross_entropy_module, "LOGITS_AT_ONCE", {kind: 1000})
    device = torch.device(kind)
    assert linear_cross_entropy_module.holds_all_logits(device, 2, 500, torch.float32)
    assert not linear_cross_entropy_module.holds_all_logits(device, 2, 501, torch.float32)
    in_16_bits = linear_cross_entropy_module.holds_all_logits(device, 2, 500, torch.bfloat16)
    assert in_16_bits == (kind == "cuda")
    assert not linear_cross_entropy_module.holds_all_logits(torch.device("mps"), 1, 1, torch.float32)


@pytest.mark.parametrize("frozen", [None, 0, 1, 2])
def test_loss_of_all_logits_at_once_equals_that_of_chunks(frozen, monkeypatch):
    leaves, words = inputs(40, 6, 30)
    words[::7] = -100
    if frozen is not None:
        leaves[frozen].requires_grad_(False)
    trained = [leaf for leaf in leaves if leaf.requires_grad]
    chunked = linear_cross_entropy(*leaves, words)
    monkeypatch.setattr(linear_cross_entropy_module, "LOGITS_AT_ONCE", {"cpu": 40 * 30})
    monkeypatch.setattr(linear_cross_entropy_module.LinearCrossEntropy, "apply", None)  # chunks would fail
    whole = linear_cross_entropy(*leaves, words)
    assert_close(whole, chunked)
    for one, other in zip(gradients(whole, trained), gradients(chunked, trained), strict=True):
        assert_close(one, other)
