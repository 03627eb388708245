"""The nearest-word look-ups that a user would pick, over a softmax's rows and over a regressor's targets.

n queries, V words, H hidden size, D target size.
"""

import importlib.util
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.cost.contender import Contender, Missing, Operations
from bench.cost.synthetic_inputs import SyntheticInputs

Search = Callable[[Tensor, int], Tensor]


def held(**tensors: Tensor) -> nn.Module:
    """What a contender holds beside parameters."""
    module = nn.Module()
    for name, tensor in tensors.items():
        module.register_buffer(name, tensor)
    return module


def softmax_rows(scene: SyntheticInputs) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Rows with the bias as one more column, and what makes queries of states. [V, H + 1]"""
    return torch.cat([scene.weight, scene.bias[:, None]], 1), lambda hidden: F.pad(hidden, (0, 1), value=1.0)


def target_rows(scene: SyntheticInputs) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The table, of unit rows, and queries of its width. [V, D]"""
    wider = scene.targets.table.shape[1] - scene.hidden_size
    return scene.targets.table.to(scene.device), lambda hidden: F.normalize(F.pad(hidden, (0, wider)), dim=-1)


def product(scene: SyntheticInputs) -> Operations:
    """A matrix product and `topk`, for a softmax."""

    def scores(hidden: Tensor) -> Tensor:
        return torch.addmm(scene.bias, hidden, scene.weight.T)  # [n, V]

    def rank(hidden: Tensor, words: Tensor) -> Tensor:
        found = scores(hidden)
        return 1 + (found > found.gather(1, words[:, None])).sum(1)

    return Operations(
        module=held(weight=scene.weight, bias=scene.bias),
        decode=lambda hidden, count: scores(hidden).topk(count).indices,
        rank=rank,
    )


def product_of_targets(scene: SyntheticInputs) -> Operations:
    """The same, for targets."""
    table, query = target_rows(scene)
    return Operations(
        module=held(table=table), decode=lambda hidden, count: (query(hidden) @ table.T).topk(count).indices
    )


def faiss_flat(
    rows: Callable[[SyntheticInputs], tuple[Tensor, Callable[[Tensor], Tensor]]], scene: SyntheticInputs
) -> Operations:
    """`faiss.IndexFlatIP`, which is exact; on the CPU."""
    if importlib.util.find_spec("faiss") is None:
        raise Missing("pip install faiss-cpu")
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    table, query = rows(scene)
    index = faiss.IndexFlatIP(table.shape[1])
    index.add(table.cpu().numpy())

    def decode(hidden: Tensor, count: int) -> Tensor:
        return torch.from_numpy(index.search(query(hidden).float().cpu().numpy(), count)[1])

    return Operations(module=held(table=table), decode=decode)


def scikit_learn(scene: SyntheticInputs) -> Operations:
    """`sklearn.neighbors`, brute force; on unit rows the Euclidean order is the cosine's."""
    from sklearn.neighbors import NearestNeighbors

    table, query = target_rows(scene)
    neighbors = NearestNeighbors(algorithm="brute").fit(table.cpu().numpy())

    def decode(hidden: Tensor, count: int) -> Tensor:
        asked = query(hidden).float().cpu().numpy()
        return torch.from_numpy(neighbors.kneighbors(asked, count, return_distance=False))

    return Operations(module=held(table=table), decode=decode)


SEARCHERS = [
    Contender(name="peer:matmul + topk", build=product),
    Contender(name="peer:faiss flat", build=partial(faiss_flat, softmax_rows)),
    Contender(name="peer:matmul + topk, targets", build=product_of_targets),
    Contender(name="peer:faiss flat, targets", build=partial(faiss_flat, target_rows)),
    Contender(name="peer:sklearn.neighbors, targets", build=scikit_learn),
]
