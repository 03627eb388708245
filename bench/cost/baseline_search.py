"""Baseline searches: nearest-word look-ups that a user would pick, over softmax rows and over a regressor's targets.

Legend: n queries, V words, H hidden size, D target size.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.cost.contender import Contender, Operations, require
from bench.cost.synthetic_inputs import SyntheticInputs

MakeRows = Callable[[SyntheticInputs], tuple[Tensor, Callable[[Tensor], Tensor]]]


def buffers(**tensors: Tensor) -> nn.Module:
    """Return a module that holds the tensors as buffers, so that the contender's memory counts them."""
    module = nn.Module()
    for name, tensor in tensors.items():
        module.register_buffer(name, tensor)
    return module


def softmax_rows(inputs: SyntheticInputs) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return rows with the bias as one more column, [V, H + 1], and the function from states to queries."""
    return torch.cat([inputs.weight, inputs.bias[:, None]], 1), lambda hidden: F.pad(hidden, (0, 1), value=1.0)


def target_rows(inputs: SyntheticInputs) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the target table of unit rows, [V, D], and the function from states to unit queries of width D."""
    padding = inputs.targets.table.shape[1] - inputs.hidden_size
    return inputs.targets.table.to(inputs.device), lambda hidden: F.normalize(F.pad(hidden, (0, padding)), dim=-1)


def softmax_product(inputs: SyntheticInputs) -> Operations:
    """Build a matrix product and `topk` over softmax rows."""

    def scores(hidden: Tensor) -> Tensor:
        return torch.addmm(inputs.bias, hidden, inputs.weight.T)  # [n, V]

    def rank(hidden: Tensor, words: Tensor) -> Tensor:
        logits = scores(hidden)
        return 1 + (logits > logits.gather(1, words[:, None])).sum(1)

    return Operations(
        module=buffers(weight=inputs.weight, bias=inputs.bias),
        decode=lambda hidden, count: scores(hidden).topk(count).indices,
        rank=rank,
    )


def target_product(inputs: SyntheticInputs) -> Operations:
    """Build a matrix product and `topk` over targets."""
    table, query = target_rows(inputs)
    return Operations(
        module=buffers(table=table), decode=lambda hidden, count: (query(hidden) @ table.T).topk(count).indices
    )


def faiss_flat(make_rows: MakeRows, inputs: SyntheticInputs) -> Operations:
    """Build `faiss.IndexFlatIP`, an exact search on the CPU."""
    require("faiss", "faiss-cpu")
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    table, query = make_rows(inputs)
    index = faiss.IndexFlatIP(table.shape[1])
    index.add(table.cpu().numpy())

    def decode(hidden: Tensor, count: int) -> Tensor:
        return torch.from_numpy(index.search(query(hidden).float().cpu().numpy(), count)[1])

    return Operations(module=buffers(table=table), decode=decode)


def scikit_learn(inputs: SyntheticInputs) -> Operations:
    """Build brute force by `sklearn.neighbors`; on unit rows the Euclidean order is the order by cosine."""
    require("sklearn", "scikit-learn")
    from sklearn.neighbors import NearestNeighbors

    table, query = target_rows(inputs)
    neighbors = NearestNeighbors(algorithm="brute").fit(table.cpu().numpy())

    def decode(hidden: Tensor, count: int) -> Tensor:
        queries = query(hidden).float().cpu().numpy()
        return torch.from_numpy(neighbors.kneighbors(queries, count, return_distance=False))

    return Operations(module=buffers(table=table), decode=decode)


BASELINE_SEARCHES = [
    Contender(name="peer:matmul + topk", build=softmax_product),
    Contender(name="peer:faiss flat", build=partial(faiss_flat, softmax_rows)),
    Contender(name="peer:matmul + topk, targets", build=target_product),
    Contender(name="peer:faiss flat, targets", build=partial(faiss_flat, target_rows)),
    Contender(name="peer:sklearn.neighbors, targets", build=scikit_learn),
]
