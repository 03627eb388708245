"""Row-sparse AdamW and clipping against torch's own on the same gradients.

V rows of a weight, H its columns.
"""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bench.rows import RowAdamW, clip, row_gradient

V, H = 30, 4


def weights() -> list[nn.Parameter]:
    """One for rows [V, H], one for single numbers [V], one that is dense."""
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(V, H)), nn.Parameter(torch.randn(V)), nn.Parameter(torch.randn(3, H))]


def set_gradients(parameters: list[nn.Parameter], step: int, *, sparse: bool, every: bool = False) -> torch.Tensor:
    """The same random numbers, dense or in rows; the ids that they touch."""
    random = torch.Generator().manual_seed(step)
    ids = torch.arange(V) if every else torch.randperm(V, generator=random)[:7].sort().values
    for weight in parameters:
        few = weight.shape[0] == V
        values = torch.randn((len(ids) if few else 3, *weight.shape[1:]), generator=random)
        if few and sparse:
            weight.grad = row_gradient(ids, values, weight)
        else:
            weight.grad = torch.zeros_like(weight).index_copy_(0, ids, values) if few else values
    return ids


@pytest.mark.parametrize("sparse", [True, False])
def test_where_every_row_is_touched_it_is_torchs_adamw(sparse):
    ours, theirs = weights(), weights()
    optimizer = RowAdamW(ours, lr=0.03, weight_decay=0.1)
    reference = torch.optim.AdamW(theirs, lr=0.03, weight_decay=0.1)
    for step in range(5):
        set_gradients(ours, step, sparse=sparse, every=True)
        set_gradients(theirs, step, sparse=False, every=True)
        optimizer.step(), reference.step()
    assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_without_decay_its_rows_are_those_of_sparse_adam():
    ours, theirs = weights(), weights()
    optimizer = RowAdamW(ours, lr=0.03, weight_decay=0.0)
    reference = torch.optim.SparseAdam(theirs[:2], lr=0.03)
    for step in range(6):
        set_gradients(ours, step, sparse=True), set_gradients(theirs, step, sparse=True)
        optimizer.step(), reference.step()
    assert_close(ours[:2], theirs[:2], rtol=1e-5, atol=1e-6)


def test_other_rows_stay_and_touched_ones_decay():
    (weight, *_), before = weights(), weights()[0]
    optimizer = RowAdamW([weight], lr=0.03, weight_decay=0.5)
    ids = set_gradients([weight], 0, sparse=True)
    weight.grad.values().zero_()
    optimizer.step()
    expected = before.detach().clone()
    expected[ids] *= 1 - 0.03 * 0.5
    assert_close(weight.detach(), expected)


def test_it_goes_on_from_its_saved_state_to_the_bit():
    parameters = weights()
    optimizer = RowAdamW(parameters, lr=0.03, weight_decay=0.1)
    for step in range(3):
        set_gradients(parameters, step, sparse=True)
        optimizer.step()
    saved, kept = copy.deepcopy(optimizer.state_dict()), [nn.Parameter(each.detach().clone()) for each in parameters]
    resumed = RowAdamW(kept, lr=1.0, weight_decay=0.0)
    resumed.load_state_dict(saved)
    for step in range(3, 6):
        for some, one in ((parameters, optimizer), (kept, resumed)):
            set_gradients(some, step, sparse=True)
            one.step()
    assert all(torch.equal(one, other) for one, other in zip(parameters, kept, strict=True))


def test_a_row_that_stands_twice_in_a_gradient_is_one_row():
    ours, theirs = weights()[0], weights()[0]
    ids, values = torch.tensor([[7, 2, 7]]), torch.randn(3, H)
    ours.grad = torch.sparse_coo_tensor(ids, values, ours.shape, check_invariants=False)
    theirs.grad = torch.zeros(V, H).index_add_(0, ids[0], values)
    clip([ours], 0.1), nn.utils.clip_grad_norm_([theirs], 0.1)
    assert_close(ours.grad.to_dense(), theirs.grad)
    ours.grad = torch.sparse_coo_tensor(ids, values, ours.shape, check_invariants=False)
    theirs.grad = torch.zeros(V, H).index_add_(0, ids[0], values)
    for weight in (ours, theirs):
        RowAdamW([weight], lr=0.03, weight_decay=0.0).step()
    assert_close(ours, theirs)


@pytest.mark.parametrize("largest", [0.5, 1e6])
def test_clipping_is_torchs(largest):
    ours, theirs = weights(), weights()
    set_gradients(ours, 0, sparse=True), set_gradients(theirs, 0, sparse=False)
    before = theirs[0].grad.clone()
    clip(ours, largest), nn.utils.clip_grad_norm_(theirs, largest)
    assert_close([each.grad.to_dense() for each in ours], [each.grad for each in theirs])
    assert torch.equal(before, theirs[0].grad) == (largest > 1)


def test_a_closure_makes_the_gradients():
    (weight, *_) = weights()
    before = weight.detach().clone()

    def closure() -> float:
        assert torch.is_grad_enabled()
        set_gradients([weight], 0, sparse=True)
        return 3.0

    assert RowAdamW([weight], lr=0.03, weight_decay=0.0).step(closure) == 3.0
    assert (weight != before).any(1).sum() == 7
