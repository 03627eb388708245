"""AdamW and clipping that also take gradients of a few rows: such a step costs what it touches, whatever V is.

R rows touched, V rows of a parameter, H its columns.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter

FELT = 100  # missed moves: by then they have fallen to 3e-5 of the first, at AdamW's usual β

AT_ONCE = 2**16  # rows brought up to date


class RowAdamW(torch.optim.AdamW):
    """AdamW, fused; where a gradient is sparse, only its rows are read and written.

    A row first makes up for the steps that it missed: what momentum and weight decay would have done to it at each
    one's learning rate. So moments and settled weights are those of dense AdamW (`SparseAdam` holds its moments still,
    and learns worse here), but for ε beside a moment that fades. One optimiser for both kinds of gradient: state is
    saved, and rates are set, as one.
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
        given = [(*each, each[0].grad) for each in all_of_them if each[0].grad is not None]
        few_rows = [each for each in given if each[2].is_sparse]
        for weight, _, gradient in given:
            if gradient.is_sparse:
                weight.grad = None  # dense Adam refuses it
            elif "last" in self.state[weight]:  # one that had few rows so far: all go on from the same step
                self._settle(weight)
                del self.state[weight]["last"], self.state[weight]["past"]
        super().step()
        for weight, group, gradient in few_rows:
            weight.grad = gradient
            self._step_rows(weight, group, gradient.coalesce())
        return outcome

    def _step_rows(self, weight: Parameter, group: dict[str, Any], gradient: Tensor) -> None:
        state, ids, values = self.state[weight], gradient.indices()[0], gradient.values()
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        if "last" not in state:
            now = int(state["step"])
            state["last"] = torch.full((len(weight),), float(now), device=weight.device)  # the step a row has come to
            state["past"] = torch.zeros(2, now + 1, device=weight.device)  # see _write_down
        rows, first, second = self._made_up(weight, group, ids)
        momentum, inertia = group["betas"]
        rate, decay = self._write_down(state, group)
        first.lerp_(values, 1 - momentum)
        second.mul_(inertia).addcmul_(values, values, value=1 - inertia)
        rows.mul_(decay).sub_(first * rate / self._spread(second, state, group))
        self._put(weight, ids, rows, first, second)

    def _write_down(self, state: dict[str, Any], group: dict[str, Any]) -> tuple[float, float]:
        """One step more: its learning rate with both moments' corrections, and its weight decay.

        `past` has for each step ln of all decay up to it, and how far, in units of first over root of second moment, a
        row of that step has moved since: the first moment falls by β₁ a step, the root of the second by √β₂, so that
        each missed move is their ratio of the one before, and few are felt. [2, steps]
        """
        state["step"] += 1
        step, (momentum, inertia) = int(state["step"]), group["betas"]
        rate = group["lr"] * (1 - inertia**step) ** 0.5 / (1 - momentum**step)
        decay = max(1 - group["lr"] * group["weight_decay"], 1e-30)  # whose logarithm is taken
        if step >= state["past"].shape[1]:
            state["past"] = F.pad(state["past"], (0, step))
        decays, moved = state["past"]
        decays[step] = decays[step - 1] + math.log(decay)
        since = torch.arange(min(FELT, step), 0, -1, device=moved.device)
        moved[max(0, step - FELT) : step].mul_(decay).add_((momentum / inertia**0.5) ** since, alpha=rate)
        return rate, decay

    def _made_up(self, weight: Parameter, group: dict[str, Any], ids: Tensor) -> list[Tensor]:
        """Rows and their moments as after zero gradients since each row's last step. [R, ...] each"""
        state, (momentum, inertia) = self.state[weight], group["betas"]
        rows, first, second = (each.index_select(0, ids) for each in (weight, state["exp_avg"], state["exp_avg_sq"]))
        decays, moved = state["past"]
        last, now = state["last"][ids].long(), int(state["step"])
        decay = (decays[now] - decays[last]).exp()
        moves = moved[last] * (decays[now] - decays[(last + FELT).clamp(max=now)]).exp()
        missed, moves, decay = (each.view(-1, *[1] * (weight.dim() - 1)) for each in (now - last, moves, decay))
        rows.mul_(decay).sub_(first * moves / self._spread(second, state, group))
        return [rows, first.mul_(momentum**missed), second.mul_(inertia**missed)]

    @staticmethod
    def _spread(second: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """What a move is divided by; both moments' corrections are in its rate."""
        return second.sqrt().add_(group["eps"] * (1 - group["betas"][1] ** max(1, int(state["step"]))) ** 0.5)

    def _put(self, weight: Parameter, ids: Tensor, rows: Tensor, first: Tensor, second: Tensor) -> None:
        state = self.state[weight]
        weight.index_copy_(0, ids, rows)
        state["exp_avg"].index_copy_(0, ids, first)
        state["exp_avg_sq"].index_copy_(0, ids, second)
        state["last"].index_fill_(0, ids, int(state["step"]))

    @torch.no_grad()
    def catch_up(self, weight: Parameter, ids: Tensor) -> None:
        """Bring some rows up to the last step, as a forward pass should read them. [R] distinct"""
        if "last" in self.state[weight]:
            [group] = [each for each in self.param_groups if any(weight is one for one in each["params"])]
            for some in ids.split(AT_ONCE):
                self._put(weight, some, *self._made_up(weight, group, some))

    def settle(self) -> None:
        """The same of all rows, as an evaluation reads them."""
        for group in self.param_groups:
            for weight in group["params"]:
                self._settle(weight)

    def _settle(self, weight: Parameter) -> None:
        if "last" in self.state[weight]:
            self.catch_up(weight, torch.arange(len(weight), device=weight.device))


def clip(parameters: Iterable[Parameter], largest: float) -> torch.Tensor:
    """`torch.nn.utils.clip_grad_norm_`, which does not know sparse gradients."""
    gradients = []
    for weight in parameters:
        if weight.grad is not None and weight.grad.is_sparse:
            weight.grad = weight.grad.coalesce()
            gradients.append(weight.grad.values())
        elif weight.grad is not None:
            gradients.append(weight.grad)
    norm = torch.nn.utils.get_total_norm(gradients)
    share = largest / (norm + 1e-6)
    torch._foreach_mul_(gradients, share.clamp(max=1.0))
    return norm
