"""Approximate decoding: faiss indexes over the rows whose inner products are a head's scores, of any head alike.

The largest inner product is made the smallest distance by one more column (Bachrach et al. 2014). Indexes are on the
CPU. n queries, V words, K columns.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.cost.contender import Missing, Searched
from bench.cost.interleave import ANSWERS
from bench.cost.run_cost import QUERIES
from bench.cost.timing import once_ms, span
from bench.heads.kernels.topk import Index

BLOCK = 1024  # rows between two looks at the clock

TRUSTED = 0.5  # of the time that the others would take at the speed so far, though later ones are as a rule slower

NEIGHBOURS, CANDIDATES = 16, 128  # of HNSW: links a node, nodes in view while searching

PROBES = 16  # cells that IVF looks into, of √V

REPEATS = 5


def approximate(searched: Searched, hidden: Tensor, seconds: float) -> list[dict[str, Any]]:
    """A row an index: time to build and to decode, and the share of exact answers that it finds.

    Args:
        hidden: states to decode. [n, H]
        seconds: that building one may take; beyond, the row says how far it came.
    """
    try:
        import faiss
    except ImportError:
        raise Missing("pip install faiss-cpu") from None
    faiss.omp_set_num_threads(torch.get_num_threads())
    make_queries, table, offsets = searched
    queries = make_queries(hidden)
    exact = Index(table, offsets)(queries, min(ANSWERS, len(table)))[1].cpu().numpy()
    rows, asked = as_distances(queries, table, table.new_zeros(len(table)) if offsets is None else offsets)
    return [measured(kind, rows, asked, exact, seconds) for kind in (Hierarchy, Cells)]


def as_distances(queries: Tensor, rows: Tensor, offsets: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Rows [V, K + 2] of one length, and queries [n, K + 2]: the nearest row is that of the highest score.

    [n, K], [V, K], [V]
    """
    offsets = offsets - (offsets.max() + offsets.min()) / 2  # the same for all, and the rows are shorter
    squares = torch.linalg.vector_norm(rows, dim=1).square() + offsets.square()
    filling = (squares.max() - squares).clamp_min(0).sqrt()
    wide = torch.cat([rows, offsets[:, None], filling[:, None]], 1)
    asked = torch.cat([queries, queries.new_ones(len(queries), 1), queries.new_zeros(len(queries), 1)], 1)
    return wide.float().cpu().numpy(), asked.float().cpu().numpy()


class Hierarchy:
    """A navigable graph (Malkov & Yashunin 2018)."""

    name = "hnsw"

    def __init__(self, rows: np.ndarray):
        import faiss

        self.index = faiss.IndexHNSWFlat(rows.shape[1], NEIGHBOURS)
        self.index.hnsw.efSearch = CANDIDATES


class Cells:
    """√V cells around the means of k-means, of which a query looks into the nearest."""

    name = "ivf"

    def __init__(self, rows: np.ndarray):
        import faiss

        cells = max(1, round(len(rows) ** 0.5))
        self.centres = faiss.IndexFlatL2(rows.shape[1])  # kept: faiss only points to it
        self.index = faiss.IndexIVFFlat(self.centres, rows.shape[1], cells)
        self.index.cp.niter, self.index.cp.min_points_per_centroid, self.index.cp.max_points_per_centroid = 10, 1, 64
        self.index.nprobe = PROBES
        self.index.train(rows)


def measured(
    kind: type[Hierarchy] | type[Cells], rows: np.ndarray, queries: np.ndarray, exact: np.ndarray, seconds: float
) -> dict[str, Any]:
    """One index's row."""
    begin = time.perf_counter()
    index = kind(rows).index
    trained = time.perf_counter()
    for start in range(0, len(rows), BLOCK):
        index.add(rows[start : start + BLOCK])
        added, now = min(start + BLOCK, len(rows)), time.perf_counter()
        if now - begin + TRUSTED * (now - trained) * (len(rows) / added - 1) > seconds and added < len(rows):
            reached = f"{added:,} of {len(rows):,} rows after {now - begin:.2g} s, too slow to end within {seconds:g} s"
            return {"index": kind.name, "reason": f"{reached}; cost.index_seconds allows more"}
    built = time.perf_counter() - begin
    found = index.search(queries, exact.shape[1])[1]
    common = [len(np.intersect1d(one, other)) for one, other in zip(found, exact, strict=True)]
    return {
        "index": kind.name,
        "build_s": float(f"{built:.4g}"),
        "recall_at_1": float((found[:, 0] == exact[:, 0]).mean()),
        "recall_at_10": sum(common) / exact.size,
        **{
            f"decode_{count}_ms": span([*times(lambda asked=queries[:count]: index.search(asked, exact.shape[1]))])
            for count in QUERIES
        },
    }


def times(call: Callable[[], object]) -> Iterator[float]:
    """ms a call, after one to warm up."""
    call()
    for _ in range(REPEATS):
        yield once_ms(call, torch.device("cpu"))
