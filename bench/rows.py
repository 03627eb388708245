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
    """AdamW, fused; where a gradient is sparse, only its rows are read and written.

    A row first makes up for the steps that it missed: what momentum and weight decay would have done to it, at the
    present learning rate. So moments are those of dense AdamW (`SparseAdam` holds them still, and learns worse here),
    and so are the weights, nearly, once settled. One optimiser for both kinds: state is saved, and rates set, as one.
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
        state, ids, values = self.state[weight], gradient.indices()[0], gradient.values()
        if not state:
            state["step"] = torch.zeros((), device=weight.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
            state["last"] = torch.zeros(len(weight), device=weight.device)  # the step up to which a row has come
        rows, first, second = self._made_up(weight, group, ids)
        state["step"] += 1
        momentum, inertia = group["betas"]
        first.lerp_(values, 1 - momentum)
        second.mul_(inertia).addcmul_(values, values, value=1 - inertia)
        rows.mul_(1 - group["lr"] * group["weight_decay"])
        self._move(rows, first, second, group, state["step"], group["lr"])
        self._put(weight, ids, rows, first, second)

    def _made_up(self, weight: Parameter, group: dict[str, Any], ids: Tensor) -> list[Tensor]:
        """Rows and their moments as after zero gradients since each row's last step; what is left of momentum moves a
        row by a geometric series. [R, ...] each"""
        state, (momentum, inertia) = self.state[weight], group["betas"]
        rows, first, second = (each.index_select(0, ids) for each in (weight, state["exp_avg"], state["exp_avg_sq"]))
        missed = (state["step"] - state["last"][ids]).view(-1, *[1] * (weight.dim() - 1))
        ratio = momentum / inertia**0.5  # of one missed move to the one before
        rows.mul_((1 - group["lr"] * group["weight_decay"]) ** missed)
        rate = group["lr"] * ratio * (1 - ratio**missed) / (1 - ratio)
        self._move(rows, first, second, group, state["step"].clamp(min=1), rate)
        return [rows, first.mul_(momentum**missed), second.mul_(inertia**missed)]

    def _move(
        self, rows: Tensor, first: Tensor, second: Tensor, group: dict[str, Any], step: Tensor, rate: Tensor | float
    ) -> None:
        momentum, inertia = group["betas"]
        spread = (second / (1 - inertia**step)).sqrt_().add_(group["eps"])
        rows.sub_((first * (rate / (1 - momentum**step))).div_(spread))

    def _put(self, weight: Parameter, ids: Tensor, rows: Tensor, first: Tensor, second: Tensor) -> None:
        state = self.state[weight]
        weight.index_copy_(0, ids, rows)
        state["exp_avg"].index_copy_(0, ids, first)
        state["exp_avg_sq"].index_copy_(0, ids, second)
        state["last"].index_fill_(0, ids, state["step"])

    @torch.no_grad()
    def settle(self) -> None:
        """Bring all rows up to the last step, as an evaluation reads them."""
        for group in self.param_groups:
            for weight in group["params"]:
                if "last" in self.state[weight]:
                    ids = torch.arange(len(weight), device=weight.device)
                    self._put(weight, ids, *self._made_up(weight, group, ids))


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
