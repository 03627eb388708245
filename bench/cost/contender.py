"""Contender: a head, whole model or baseline whose operations are timed for a row of a cost ledger.

Legend: N positions, n queries, V words, H hidden size, K columns of a query.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from bench.core.errors import SettingError
from bench.core.known_settings import unknown_choice
from bench.cost.synthetic_inputs import SyntheticInputs

LR = 1e-8  # no unit: an update's work does not depend on the rate, and a small rate keeps losses comparable

# (function from states [n, H] to queries [n, K], rows [V, K], offsets [V]): scores = queries @ rows.T + offsets
SearchableRows = tuple[Callable[[Tensor], Tensor], Tensor, Tensor | None]


class Missing(Exception):
    """A package or a device that a contender needs is missing; the text says the remedy."""


def require(module: str, package: str) -> None:
    """Check that a module is installed, which the package contains.

    Raises:
        Missing: it is not.
    """
    if importlib.util.find_spec(module) is None:
        raise Missing(f"pip install {package}")


def adam(parameters: Sequence[Parameter]) -> list[Optimizer]:
    """Make Adam: fused for dense gradients, of the touched rows for sparse gradients."""
    makers = {
        False: lambda dense: torch.optim.Adam(dense, lr=LR, fused=True),
        True: lambda sparse: torch.optim.SparseAdam(sparse, lr=LR),
    }
    return by_gradient(parameters, makers)


def sgd(parameters: Sequence[Parameter]) -> list[Optimizer]:
    """Make SGD without momentum."""
    makers = {
        False: lambda dense: torch.optim.SGD(dense, lr=LR, fused=True),
        True: lambda sparse: torch.optim.SGD(sparse, lr=LR, fused=False, foreach=False),
    }
    return by_gradient(parameters, makers)


def by_gradient(
    parameters: Sequence[Parameter], makers: dict[bool, Callable[[list[Parameter]], Optimizer]]
) -> list[Optimizer]:
    """Make an optimiser for the weights with dense gradients, and another for those with sparse gradients."""
    groups = {
        sparse: [weight for weight in parameters if weight.grad is not None and weight.grad.is_sparse == sparse]
        for sparse in makers
    }
    return [makers[sparse](weights) for sparse, weights in groups.items() if weights]


@dataclass(frozen=True, eq=False, kw_only=True)
class Operations:
    """Operations that are timed; None where a contender has no such operation."""

    module: nn.Module  # its parameters and buffers are the contender's memory
    loss: Callable[[Tensor, Tensor], Tensor] | None = None  # [N, H], [N] -> []
    flops_per_position: Callable[[], float | None] | None = None  # None: counted while the first step runs
    adam: Callable[[Sequence[Parameter]], list[Optimizer]] = adam
    decode: Callable[[Tensor, int], Tensor] | None = None  # the k best words. [n, H] -> [n, k]
    rank: Callable[[Tensor, Tensor], Tensor] | None = None  # [n, H], [n] -> [n]
    searchable: SearchableRows | None = None  # None if scores are not inner products with rows


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Head, whole model or baseline to be timed; built again in each round, so that only one is in memory at a time."""

    name: str
    build: Callable[[SyntheticInputs], Operations]  # may raise Missing
    reads_targets: bool = False  # True if the head needs word vectors, and usually an encoding of the text first


def selected_names(names: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Return the names of contenders that `cost.contenders` selects, in the order of `names`; None selects all.

    Args:
        wanted: names, or patterns with `*`, which may match none.

    Raises:
        SettingError: a wanted name that no contender has.
    """
    if wanted is None:
        return list(names)
    unknown = sorted(each for each in wanted if "*" not in each and each not in names)
    if unknown:
        raise SettingError("cost.contenders", unknown_choice(unknown[0], names))
    patterns = [each for each in wanted if "*" in each]
    return [name for name in names if name in wanted or any(fnmatchcase(name, each) for each in patterns)]
