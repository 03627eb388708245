"""Row-sparse AdamW and clipping against torch's dense AdamW and clipping on the same gradients.

V rows of a weight, H its columns.
"""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from bench.heads.kernels.sampled_cross_entropy import row_gradient
from bench.models.row_adamw import RowAdamW, clip_gradients

V, H = 30, 4


def weights() -> list[nn.Parameter]:
    """Return a weight with rows [V, H], a weight with single numbers [V], and a dense weight."""
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(V, H)), nn.Parameter(torch.randn(V)), nn.Parameter(torch.randn(3, H))]


def set_gradients(parameters: list[nn.Parameter], step: int, *, sparse: bool, all_rows: bool = False) -> torch.Tensor:
    """Set the same random gradients as rows or dense; return the ids of the touched rows."""
    random = torch.Generator().manual_seed(step)
    ids = torch.arange(V) if all_rows else torch.randperm(V, generator=random)[:7].sort().values
    for weight in parameters:
        has_rows = weight.shape[0] == V
        values = torch.randn((len(ids) if has_rows else 3, *weight.shape[1:]), generator=random)
        if has_rows and sparse:
            weight.grad = row_gradient(ids, values, weight)
        else:
            weight.grad = torch.zeros_like(weight).index_copy_(0, ids, values) if has_rows else values
    return ids


@pytest.mark.parametrize("sparse", [True, False])
def test_step_equals_torch_adamw_when_every_row_is_touched(sparse):
    ours, theirs = weights(), weights()
    optimizer = RowAdamW(ours, lr=0.03, weight_decay=0.1)
    reference = torch.optim.AdamW(theirs, lr=0.03, weight_decay=0.1)
    for step in range(5):
        set_gradients(ours, step, sparse=sparse, all_rows=True)
        set_gradients(theirs, step, sparse=False, all_rows=True)
        optimizer.step(), reference.step()
    assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def scheduled(step: int) -> float:
    """Return a learning rate that rises and falls, as in training."""
    return 0.01 * min(1, (step + 1) / 20) * (1.02 - step / 300)


def steps_of_few_rows(*, caught_up: bool) -> tuple[list[nn.Parameter], list[nn.Parameter], list[float], list]:
    """Take 300 steps of 7 rows each with row-sparse and with dense AdamW.

    Args:
        caught_up: apply skipped updates to the rows that a step is about to touch.

    Returns:
        Weights of row-sparse AdamW, weights of dense AdamW, the largest distance of the touched rows before each step,
        and both optimisers.
    """
    ours, theirs = weights(), weights()
    optimizer = RowAdamW(ours, lr=1.0, weight_decay=0.1)
    reference = torch.optim.AdamW(theirs, lr=1.0, weight_decay=0.1)
    distances = []
    for step in range(300):
        for either in (optimizer, reference):
            either.param_groups[0]["lr"] = scheduled(step)
        set_gradients(theirs, step, sparse=False)
        ids = set_gradients(ours, step, sparse=True)
        if caught_up and step:
            optimizer.apply_skipped_updates(ours[0], ids), optimizer.apply_skipped_updates(ours[1], ids)
        pairs = zip(ours[:2], theirs[:2], strict=True)
        distances.append(max((one - other)[ids].detach().abs().max().item() for one, other in pairs))
        optimizer.step(), reference.step()
    return ours, theirs, distances, [optimizer, reference]


@pytest.mark.parametrize("caught_up", [True, False])
def test_weights_and_moments_equal_dense_adamw_after_skipped_updates(caught_up):
    """Each step touches a few rows, with a learning rate that changes."""
    ours, theirs, _, (optimizer, reference) = steps_of_few_rows(caught_up=caught_up)
    optimizer.apply_all_skipped_updates()
    moved = (theirs[0] - weights()[0]).abs().mean()
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() < 2e-3 * moved
        for moment in ("exp_avg", "exp_avg_sq"):
            assert_close(optimizer.state[one][moment], reference.state[other][moment], rtol=1e-3, atol=1e-7)


def test_rows_equal_dense_adamw_when_read_after_skipped_updates():
    *_, without, _ = steps_of_few_rows(caught_up=False)
    *_, caught_up, _ = steps_of_few_rows(caught_up=True)
    assert max(caught_up) < 0.01 * max(without)


def test_untouched_rows_change_only_when_skipped_updates_are_applied():
    (weight, *_) = weights()
    optimizer = RowAdamW([weight], lr=0.03, weight_decay=0.5)
    ids = set_gradients([weight], 0, sparse=True)
    optimizer.step()
    after = weight.detach().clone()
    weight.grad = row_gradient(torch.tensor([int(ids[0])]), torch.zeros(1, H), weight)
    for _ in range(3):
        optimizer.step()
    others = torch.arange(V) != ids[0]
    assert torch.equal(weight[others], after[others])
    optimizer.apply_all_skipped_updates()
    first = weight.detach().clone()
    assert (weight[others] != after[others]).any(1).all()  # at least by weight decay
    optimizer.apply_all_skipped_updates()
    assert torch.equal(weight, first)


def test_resumed_optimiser_gives_bit_identical_weights():
    parameters = weights()
    optimizer = RowAdamW(parameters, lr=0.03, weight_decay=0.1)
    for step in range(3):
        set_gradients(parameters, step, sparse=True)
        optimizer.step()
    saved, kept = (
        copy.deepcopy(optimizer.state_dict()),
        [nn.Parameter(weight.detach().clone()) for weight in parameters],
    )
    resumed = RowAdamW(kept, lr=1.0, weight_decay=0.0)
    resumed.load_state_dict(saved)
    for step in range(3, 6):
        for weights_of_one, one in ((parameters, optimizer), (kept, resumed)):
            set_gradients(weights_of_one, step, sparse=True)
            one.step()
    assert all(torch.equal(one, other) for one, other in zip(parameters, kept, strict=True))


def test_row_that_occurs_twice_in_a_gradient_is_summed():
    ours, theirs = weights()[0], weights()[0]
    ids, values = torch.tensor([[7, 2, 7]]), torch.randn(3, H)
    ours.grad = torch.sparse_coo_tensor(ids, values, ours.shape, check_invariants=False)
    theirs.grad = torch.zeros(V, H).index_add_(0, ids[0], values)
    clip_gradients([ours], 0.1), nn.utils.clip_grad_norm_([theirs], 0.1)
    assert_close(ours.grad.to_dense(), theirs.grad)
    ours.grad = torch.sparse_coo_tensor(ids, values, ours.shape, check_invariants=False)
    theirs.grad = torch.zeros(V, H).index_add_(0, ids[0], values)
    for weight in (ours, theirs):
        RowAdamW([weight], lr=0.03, weight_decay=0.0).step()
    assert_close(ours, theirs)


@pytest.mark.parametrize("largest", [0.5, 1e6])
def test_clipped_gradients_equal_torch(largest):
    ours, theirs = weights(), weights()
    set_gradients(ours, 0, sparse=True), set_gradients(theirs, 0, sparse=False)
    before = theirs[0].grad.clone()
    clip_gradients(ours, largest), nn.utils.clip_grad_norm_(theirs, largest)
    assert_close([weight.grad.to_dense() for weight in ours], [weight.grad for weight in theirs])
    assert torch.equal(before, theirs[0].grad) == (largest > 1)


def test_step_calls_closure_with_gradients_enabled():
    (weight, *_) = weights()
    before = weight.detach().clone()

    def closure() -> float:
        assert torch.is_grad_enabled()
        set_gradients([weight], 0, sparse=True)
        return 3.0

    assert RowAdamW([weight], lr=0.03, weight_decay=0.0).step(closure) == 3.0
    assert (weight != before).any(1).sum() == 7


def test_weights_equal_dense_adamw_when_gradients_change_between_sparse_and_dense():
    """The kind of gradient changes when a cell is resumed on another number of devices."""
    (ours, *_), (theirs, *_) = weights(), weights()
    optimizer = RowAdamW([ours], lr=0.01, weight_decay=0.1)
    reference = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for step in range(60):
        set_gradients([ours], step, sparse=step // 20 != 1), set_gradients([theirs], step, sparse=False)
        optimizer.step(), reference.step()
    optimizer.apply_all_skipped_updates()
    assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert_close(optimizer.state[ours]["exp_avg"], reference.state[theirs]["exp_avg"], rtol=1e-3, atol=1e-6)


def test_rows_equal_dense_adamw_after_more_skipped_steps_than_the_horizon():
    """400 skipped steps, of which the momentum of HORIZON is applied."""
    (ours, *_), (theirs, *_) = weights(), weights()
    optimizer = RowAdamW([ours], lr=0.01, weight_decay=0.1)
    reference = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    set_gradients([ours], 0, sparse=True, all_rows=True)
    set_gradients([theirs], 0, sparse=False, all_rows=True)
    for step in range(400):
        optimizer.step(), reference.step()
        values = torch.randn(1, H, generator=torch.Generator().manual_seed(step))
        ours.grad = row_gradient(torch.tensor([3]), values, ours)
        theirs.grad = torch.zeros(V, H).index_copy_(0, torch.tensor([3]), values)
    optimizer.apply_all_skipped_updates()
    assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
