"""AdamW and clipping that also take gradients of a few rows: such a step costs what it touches, whatever V is.

R rows touched, V rows of a parameter, H its columns.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter


def row_gradient(ids: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """Distinct, rising ids and what belongs there -> a sparse gradient. [R], [R, ...], [V, ...] -> [V, ...]"""
    return torch.sparse_coo_tensor(ids[None], values, like.shape, is_coalesced=True, check_invariants=False)


class RowAdamW(torch.optim.AdamW):
    """AdamW, fused; where a gradient is sparse, moments and weight decay act on its rows alone, as in `SparseAdam`.

    One optimiser for both, for its state must be saved and its learning rate set as one.
    """

    def __init__(self, parameters: Iterable[Parameter], *, lr: float, weight_decay: float):
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters that have a gradient."""
        outcome = None
        if closure is not None:
            with torch.enable_grad():
                outcome = closure()
        all_of_them = [(weight, group) for group in self.param_groups for weight in group["params"]]
        few_rows = [
            (*each, each[0].grad) for each in all_of_them if each[0].grad is not None and each[0].grad.is_sparse
        ]
        for weight, _, _ in few_rows:
            weight.grad = None  # dense Adam refuses it
        super().step()
        for weight, group, gradient in few_rows:
            weight.grad = gradient
            self._step_rows(weight, group, gradient.coalesce())
        return outcome

    def _step_rows(self, weight: Parameter, group: dict[str, Any], gradient: Tensor) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), device=weight.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["step"] += 1
        (momentum, inertia), ids, values = group["betas"], gradient.indices()[0], gradient.values()
        first = state["exp_avg"].index_select(0, ids).lerp_(values, 1 - momentum)
        second = state["exp_avg_sq"].index_select(0, ids).mul_(inertia).addcmul_(values, values, value=1 - inertia)
        state["exp_avg"].index_copy_(0, ids, first)
        state["exp_avg_sq"].index_copy_(0, ids, second)
        rate = group["lr"] / (1 - momentum ** state["step"])
        spread = second.div_(1 - inertia ** state["step"]).sqrt_().add_(group["eps"])
        rows = weight.index_select(0, ids).mul_(1 - group["lr"] * group["weight_decay"])
        weight.index_copy_(0, ids, rows.sub_(first.mul_(rate).div_(spread)))


def clip(parameters: Iterable[Parameter], largest: float) -> None:
    """`torch.nn.utils.clip_grad_norm_`, which does not know sparse gradients."""
    gradients = []
    for weight in parameters:
        if weight.grad is not None and weight.grad.is_sparse:
            weight.grad = weight.grad.coalesce()
            gradients.append(weight.grad.values())
        elif weight.grad is not None:
            gradients.append(weight.grad)
    share = largest / (torch.nn.utils.get_total_norm(gradients) + 1e-6)
    torch._foreach_mul_(gradients, share.clamp(max=1.0))
