"""What a contender is: a name, and how it is built on a scene into the acts that are timed.

N positions, n queries, V words, H hidden size, K columns of a query.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from bench.cost.synthetic_inputs import SyntheticInputs

LR = 1e-8  # an update is the same work however small, and losses stay comparable

# what makes queries [n, K] of states [n, H]; rows [V, K]; offsets [V]: scores = queries @ rows.T + offsets
Searched = tuple[Callable[[Tensor], Tensor], Tensor, Tensor | None]


class Missing(Exception):
    """A package or a device that a contender needs is not there; its text says the remedy."""


def adam(parameters: Sequence[Parameter]) -> list[Optimizer]:
    """Fused for dense gradients, of the touched rows for sparse ones."""
    makers = {False: lambda some: torch.optim.Adam(some, lr=LR, fused=True), True: torch_sparse_adam}
    return by_gradient(parameters, makers)


def sgd(parameters: Sequence[Parameter]) -> list[Optimizer]:
    """Plain, without momentum."""
    makers = {
        False: lambda some: torch.optim.SGD(some, lr=LR, fused=True),
        True: lambda some: torch.optim.SGD(some, lr=LR, fused=False, foreach=False),
    }
    return by_gradient(parameters, makers)


def torch_sparse_adam(parameters: list[Parameter]) -> Optimizer:
    return torch.optim.SparseAdam(parameters, lr=LR)


def by_gradient(
    parameters: Sequence[Parameter], makers: dict[bool, Callable[[list[Parameter]], Optimizer]]
) -> list[Optimizer]:
    """An optimiser for those whose gradient is dense, and one for those whose is sparse."""
    groups = {
        sparse: [weight for weight in parameters if weight.grad is not None and weight.grad.is_sparse == sparse]
        for sparse in makers
    }
    return [makers[sparse](some) for sparse, some in groups.items() if some]


@dataclass(frozen=True, eq=False, kw_only=True)
class Operations:
    """What is timed; None where a contender has no such act."""

    module: nn.Module  # its parameters and tables
    loss: Callable[[Tensor, Tensor], Tensor] | None = None  # [N, H], [N] -> []
    flops_per_position: Callable[[], float] | None = None  # None: counted as a step runs
    proportional: bool = False  # a step takes as much longer as V is larger, at the least
    adam: Callable[[Sequence[Parameter]], list[Optimizer]] = adam
    decode: Callable[[Tensor, int], Tensor] | None = None  # the k best words. [n, H] -> [n, k]
    rank: Callable[[Tensor, Tensor], Tensor] | None = None  # [n, H], [n] -> [n]
    searched: Searched | None = None  # where scores are inner products: what an index of neighbours can search


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Built anew for each visit, so that no two are in memory at once."""

    name: str
    build: Callable[[SyntheticInputs], Operations]  # may raise Missing
    reads_targets: bool = False  # needs word vectors, and as a rule an encoding first
