"""AdamW and gradient clipping for row-sparse gradients: the time of a step depends on R and not on V.

R rows of a gradient, V rows of a parameter, H its columns.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter

HORIZON = 100  # skipped steps whose momentum is applied; later moves are below 3e-5 of the first at the default β

ROWS_AT_ONCE = 2**16  # rows that receive their skipped updates together; bounds temporary memory

# Weights of a table up to which a GPU updates all rows sooner than the rows of a step, which takes many small kernels.
# Measured on an H200: a step of sampled softmax with LSTM 512 and 560 words takes 5.9 ms with dense gradients and
# 9.6 ms with row-sparse ones at V = 20,000, and 7.1 and 9.4 ms at V = 75,000.
DENSE_ON_GPU = 10**8


def row_sparse_is_faster(parameters: Iterable[Parameter], device: torch.device) -> bool:
    """True if row-sparse gradients make a training step of these parameters faster on the device."""
    return device.type == "cpu" or max(weight.numel() for weight in parameters) > DENSE_ON_GPU


class RowAdamW(torch.optim.AdamW):
    """Fused AdamW (Loshchilov & Hutter 2019) that reads and writes only the rows of a row-sparse gradient.

    A row first receives the updates that it skipped: the effect of momentum and weight decay at the learning rate of
    each skipped step. Moments and weights, once all skipped updates are applied, are those of dense AdamW, except for
    the effect of ε while a second moment decays. (`torch.optim.SparseAdam` freezes the moments of untouched rows, and
    learns worse here.) A model applies the skipped updates to the embedding rows that a batch reads before it reads
    them. A head that samples reads its rows without these updates, which changed the loss by 0.0004 nats per word in a
    GRU with V = 3,000 and 128 negatives. One optimiser takes both kinds of gradient, so there is one state and one
    learning rate.

    The state of a parameter with row-sparse gradients has two more entries: `last` [V], the step up to which each row
    is updated, and `past` [2, steps], the sums of `_record_step`.
    """

    def __init__(self, parameters: Iterable[Parameter], *, lr: float, weight_decay: float):
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient."""
        outcome = None
        if closure is not None:
            with torch.enable_grad():
                outcome = closure()
        parameters = [(weight, group) for group in self.param_groups for weight in group["params"]]
        with_gradient = [(weight, group, weight.grad) for weight, group in parameters if weight.grad is not None]
        for weight, _, gradient in with_gradient:
            if gradient.is_sparse:
                weight.grad = None  # dense AdamW refuses a sparse gradient
            elif "last" in self.state[weight]:  # gradients were sparse until now: bring all rows to the same step
                self._apply_all(weight)
                del self.state[weight]["last"], self.state[weight]["past"]
        super().step()
        for weight, group, gradient in with_gradient:
            if gradient.is_sparse:
                weight.grad = gradient
                self._step_rows(weight, group, gradient.coalesce())
        return outcome

    def _step_rows(self, weight: Parameter, group: dict[str, Any], gradient: Tensor) -> None:
        """Update the rows of a sparse gradient, after the updates that these rows skipped."""
        state, ids, values = self.state[weight], gradient.indices()[0], gradient.values()
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        if "last" not in state:
            now = int(state["step"])
            state["last"] = torch.full((len(weight),), float(now), device=weight.device)
            state["past"] = torch.zeros(2, now + 1, device=weight.device)
        rows, first, second = self._updated_rows(weight, group, ids)
        momentum, inertia = group["betas"]
        rate, decay = self._record_step(state, group)
        first.lerp_(values, 1 - momentum)
        second.mul_(inertia).addcmul_(values, values, value=1 - inertia)
        rows.mul_(decay).sub_(first * rate / self._denominator(second, state, group))
        self._write_rows(weight, ids, rows, first, second)

    def _record_step(self, state: dict[str, Any], group: dict[str, Any]) -> tuple[float, float]:
        """Count one more step; return its learning rate, with both bias corrections, and its weight decay factor.

        `past` holds two numbers for each step s: the sum of ln(weight decay factor) up to s, and the distance, in units
        of (first moment / root of second moment) at s, that a row untouched since s has moved. The first moment falls
        by β₁ per step and the root of the second by √β₂, so each skipped move is β₁/√β₂ of the move before, and moves
        beyond `HORIZON` steps are left out.
        """
        state["step"] += 1
        step, (momentum, inertia) = int(state["step"]), group["betas"]
        rate = group["lr"] * (1 - inertia**step) ** 0.5 / (1 - momentum**step)
        decay = max(1 - group["lr"] * group["weight_decay"], 1e-30)  # positive, as the logarithm is taken
        if step >= state["past"].shape[1]:
            state["past"] = F.pad(state["past"], (0, step))
        log_decays, distances = state["past"]
        log_decays[step] = log_decays[step - 1] + math.log(decay)
        since = torch.arange(min(HORIZON, step), 0, -1, device=distances.device)
        distances[max(0, step - HORIZON) : step].mul_(decay).add_((momentum / inertia**0.5) ** since, alpha=rate)
        return rate, decay

    def _updated_rows(self, weight: Parameter, group: dict[str, Any], ids: Tensor) -> list[Tensor]:
        """Compute rows and both moments after the steps that each row skipped, with zero gradient. [R, …] each"""
        state, (momentum, inertia) = self.state[weight], group["betas"]
        rows, first, second = (each.index_select(0, ids) for each in (weight, state["exp_avg"], state["exp_avg_sq"]))
        log_decays, distances = state["past"]
        last, now = state["last"][ids].long(), int(state["step"])
        if (last == now).all():  # after a forward pass that read these rows
            return [rows, first, second]
        decay = (log_decays[now] - log_decays[last]).exp()
        distance = distances[last] * (log_decays[now] - log_decays[(last + HORIZON).clamp(max=now)]).exp()
        per_row = (-1, *[1] * (weight.dim() - 1))
        skipped, distance, decay = (each.view(per_row) for each in (now - last, distance, decay))
        rows.mul_(decay).sub_(first * distance / self._denominator(second, state, group))
        return [rows, first.mul_(momentum**skipped), second.mul_(inertia**skipped)]

    @staticmethod
    def _denominator(second: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """Return the root of the second moment plus ε; bias corrections of both moments are in the learning rate."""
        return second.sqrt().add_(group["eps"] * (1 - group["betas"][1] ** max(1, int(state["step"]))) ** 0.5)

    def _write_rows(self, weight: Parameter, ids: Tensor, rows: Tensor, first: Tensor, second: Tensor) -> None:
        """Write rows and moments that are up to date with the current step."""
        state = self.state[weight]
        weight.index_copy_(0, ids, rows)
        state["exp_avg"].index_copy_(0, ids, first)
        state["exp_avg_sq"].index_copy_(0, ids, second)
        state["last"].index_fill_(0, ids, int(state["step"]))

    @torch.no_grad()
    def apply_skipped_updates(self, weight: Parameter, ids: Tensor) -> None:
        """Bring the rows that a forward pass reads up to the current step; `ids` [R] are distinct."""
        if "last" in self.state[weight]:
            [group] = [group for group in self.param_groups if any(weight is other for other in group["params"])]
            for block in ids.split(ROWS_AT_ONCE):
                self._write_rows(weight, block, *self._updated_rows(weight, group, block))

    def apply_all_skipped_updates(self) -> None:
        """Bring all rows of all parameters up to the current step, for evaluation and saving."""
        for group in self.param_groups:
            for weight in group["params"]:
                self._apply_all(weight)

    def _apply_all(self, weight: Parameter) -> None:
        """Bring all rows of one parameter up to the current step."""
        if "last" in self.state[weight]:
            self.apply_skipped_updates(weight, torch.arange(len(weight), device=weight.device))


def clip_gradients(parameters: Iterable[Parameter], largest: float) -> torch.Tensor:
    """Scale all gradients so that their joint norm is at most `largest`; return the norm before scaling. -> []

    `torch.nn.utils.clip_grad_norm_` gives the same result for dense gradients and refuses sparse gradients.
    """
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
