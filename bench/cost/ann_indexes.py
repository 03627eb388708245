"""Approximate decoding: faiss indexes over the rows whose inner products with a query are a head's scores.

One more column turns the largest inner product into the smallest distance (Bachrach et al. 2014). Indexes are on the
CPU.

Legend: n queries, V words, K columns.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.cost.contender import SearchableRows, require
from bench.cost.timing import once_ms, span
from bench.evaluation.exact_decoder import ANSWERS, QUERIES
from bench.heads.kernels.topk import TopKIndex

BLOCK = 1024  # rows that are added between two checks of the time limit

# An index is given up if the time so far and this share of the remaining time, extrapolated at the speed so far, exceed
# the limit. The share is below 1, so that an index whose estimate is near the limit is not given up too early.
TRUSTED = 0.5

NEIGHBOURS, CANDIDATES = 16, 128  # of HNSW: links per node, nodes that a search keeps; higher: better recall, slower

PROBES = 16  # of the √V clusters, those that IVF searches; higher: better recall, slower

REPEATS = 5  # timed calls per figure


def approximate(searchable_rows: SearchableRows, hidden: Tensor, seconds: float) -> list[dict[str, Any]]:
    """Measure every kind of index: time to build and to decode, and recall of the exact answers.

    Args:
        hidden: states to decode. [n, H]
        seconds: time limit of building one index; beyond it, the row holds a reason instead of figures.

    Raises:
        Missing: faiss is not installed.
    """
    require("faiss", "faiss-cpu")
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    make_queries, table, offsets = searchable_rows
    queries = make_queries(hidden)
    exact = TopKIndex(table, offsets)(queries, min(ANSWERS, len(table)))[1].cpu().numpy()
    wide_rows, wide_queries = as_distances(queries, table, table.new_zeros(len(table)) if offsets is None else offsets)
    return [measure_index(make, wide_rows, wide_queries, exact, seconds) for make in (hnsw, ivf)]


def as_distances(queries: Tensor, rows: Tensor, offsets: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of equal length, [V, K + 2], and queries, [n, K + 2]: the nearest row has the highest score.

    Args:
        queries: [n, K]
        rows: [V, K]
        offsets: [V]
    """
    offsets = offsets - (offsets.max() + offsets.min()) / 2  # a common shift moves no word, and makes the rows shorter
    squares = torch.linalg.vector_norm(rows, dim=1).square() + offsets.square()
    filling = (squares.max() - squares).clamp_min(0).sqrt()
    wide_rows = torch.cat([rows, offsets[:, None], filling[:, None]], 1)
    wide_queries = torch.cat([queries, queries.new_ones(len(queries), 1), queries.new_zeros(len(queries), 1)], 1)
    return wide_rows.float().cpu().numpy(), wide_queries.float().cpu().numpy()


def hnsw(rows: np.ndarray) -> Any:
    """Return an empty hierarchical navigable small-world graph (Malkov & Yashunin 2018)."""
    import faiss

    index = faiss.IndexHNSWFlat(rows.shape[1], NEIGHBOURS)
    index.hnsw.efSearch = CANDIDATES
    return index


def ivf(rows: np.ndarray) -> Any:
    """Return an empty inverted file (Jégou et al. 2011): √V k-means clusters, of which a query searches PROBES."""
    import faiss

    clusters, width = max(1, round(len(rows) ** 0.5)), rows.shape[1]
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, clusters)  # keeps a reference to the flat index
    index.cp.niter, index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 10, 1, 64
    index.nprobe = PROBES
    index.train(rows)
    return index


def measure_index(
    make: Callable[[np.ndarray], Any], rows: np.ndarray, queries: np.ndarray, exact: np.ndarray, seconds: float
) -> dict[str, Any]:
    """Build one index and measure it; return the ledger's row of figures."""
    begin = time.perf_counter()
    index = make(rows)
    trained = time.perf_counter()
    for start in range(0, len(rows), BLOCK):
        index.add(rows[start : start + BLOCK])
        added, now = min(start + BLOCK, len(rows)), time.perf_counter()
        if now - begin + TRUSTED * (now - trained) * (len(rows) / added - 1) > seconds and added < len(rows):
            reached = f"{added:,} of {len(rows):,} rows after {now - begin:.2g} s, too slow to end within {seconds:g} s"
            return {"index": make.__name__, "reason": f"{reached}; raise cost.index_seconds"}
    built = time.perf_counter() - begin
    answers = index.search(queries, exact.shape[1])[1]
    common = [len(np.intersect1d(one, other)) for one, other in zip(answers, exact, strict=True)]
    return {
        "index": make.__name__,
        "build_s": float(f"{built:.4g}"),
        "recall_at_1": float((answers[:, 0] == exact[:, 0]).mean()),
        "recall_at_10": sum(common) / exact.size,
        **{
            f"decode_{count}_ms": span(times_ms(lambda some=queries[:count]: index.search(some, exact.shape[1])))
            for count in QUERIES
        },
    }


def times_ms(call: Callable[[], object]) -> list[float]:
    """Return the times of REPEATS calls after a warm-up call, ms."""
    call()
    return [once_ms(call, torch.device("cpu")) for _ in range(REPEATS)]
