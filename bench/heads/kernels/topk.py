"""Exact top-k words of a few queries without an [n, V] matrix of scores.

n queries, D columns, V rows of the table, g rows per group, G groups, c candidates.
"""

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.hardware import computes_bf16
from bench.heads.kernels.single_query import SingleQueryIndex, multiplies_int8

GROUP_ROWS = 8  # g: a group of rows is represented by the largest of its rough scores

# groups that are rescored in addition to k, which is enough if each holds one answer; bfloat16 bounds are looser
EXTRA_GROUPS = {torch.bfloat16: 8, torch.float32: 1}

EXTRA_GROUPS_RETRY = 54  # the same for queries whose first result is not proven exact

CACHED_CELLS = 2**18  # scores per CPU thread in one slab: 1 MiB of float32, the cache of a core

SINGLE_QUERY_ROWS = 2**15  # smallest V for which a single query is faster by rough scores than by all exact scores

ROWS_PER_PASS = 2**12  # rows that are converted together when an index is built: bounds the temporary memory

ROW_MULTIPLE = 64  # slabs are a multiple of this: remainder rows of a product use another kernel that rounds otherwise


class RoughTable(NamedTuple):
    """Low-precision copy of a table, with bounds on the difference between its scores and the exact scores."""

    table: Tensor  # [V, D]
    offsets: Tensor | None  # [V]
    product_errors: Tensor  # per group, factors of |q − rough q| and of |q| in the largest product error. [G, 2]
    offset_errors: Tensor | None  # per group, largest error caused by the offsets. [G]
    roundoff: float  # largest relative error of one rounding


class TopKIndex:
    """Exact search for the k largest of `queries @ table.T + offsets`.

    Candidates are chosen by rough scores and rescored in float32. Upper bounds of the remaining groups prove that no
    better row was left out. A query without this proof is searched again with more candidates, then over all rows.
    Rough scores are bfloat16 if the hardware supports it. For a single query, whose time is that of reading memory,
    they are of 8-bit integers, or bfloat16 where the hardware does not multiply these.

    Args:
        table: [V, D] float32. With bfloat16 rough scores, a copy of half its size is kept.
        offsets: [V] float32, added to the scores, or None.
    """

    def __init__(self, table: Tensor, offsets: Tensor | None = None):
        self.table, self.offsets = table.detach(), None if offsets is None else offsets.detach()
        self.rough_table = cache(self._build_rough_table)
        self.single_query_index = cache(lambda: SingleQueryIndex(self.table, self.offsets))

    def _build_rough_table(self, dtype: torch.dtype) -> RoughTable:
        """Convert the table to `dtype` and compute error bounds per group.

        |q · t − q' · t'| ≤ |q − q'| · |t'| + |q| · |t − t'| + summation error, with q', t' the rough vectors.
        """
        rough = self.table if dtype == self.table.dtype else torch.empty_like(self.table, dtype=dtype)
        errors = self.table.new_empty(len(rough), 2)  # [V, 2]
        for rows in (slice(start, start + ROWS_PER_PASS) for start in range(0, len(rough), ROWS_PER_PASS)):
            exact = self.table[rows]
            rounded = exact.to(dtype)
            if rough is not self.table:
                rough[rows] = rounded
            rounded = rounded.float()
            torch.linalg.vector_norm(rounded, dim=1, out=errors[rows, 0])
            torch.linalg.vector_norm(exact - rounded, dim=1, out=errors[rows, 1])
        errors[:, 1] += rough.shape[1] * 2**-23 * errors[:, 0]  # summation in float32
        offsets = offset_errors = None
        roundoff = torch.finfo(dtype).eps / 2
        if self.offsets is not None:
            offsets = self.offsets.to(dtype)
            # the offset is rounded, and so is the product, which exceeds the score by up to |offset|
            offset_errors = 2.1 * roundoff * group_maxima(self.offsets.abs()[:, None])[:, 0]
        return RoughTable(rough, offsets, group_maxima(errors), offset_errors, roundoff)

    @torch.inference_mode()
    def __call__(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the k largest scores per query and their row ids, best first. [n, D] -> [n, k], [n, k]"""
        with torch.autocast(queries.device.type, enabled=False):
            queries = queries.float()
            if len(queries) == 1 and len(self.table) < SINGLE_QUERY_ROWS:
                return self.search_all_rows(queries, k)
            if len(queries) == 1 and multiplies_int8(queries.device):
                proven = self.single_query_index().search(queries[0], k)
                if proven is not None:
                    return proven[0][None], proven[1][None]
            dtype = torch.bfloat16 if len(queries) == 1 or computes_bf16(queries.device) else torch.float32
            best, ids = queries.new_empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.long)
            ids = ids.to(queries.device)
            bounds, unproven = self.upper_bounds(queries, dtype), torch.arange(len(queries), device=queries.device)
            for groups in (k + EXTRA_GROUPS[dtype], k + EXTRA_GROUPS_RETRY):
                if bounds.shape[1] > 2 * groups and len(unproven):
                    highest, chosen = bounds[unproven].topk(groups + 1)  # [n, groups + 1]
                    best[unproven], ids[unproven] = self.search_groups(queries[unproven], chosen[:, :groups], k)
                    unproven = unproven[~(highest[:, groups] < best[unproven, -1])]
            if len(unproven):
                best[unproven], ids[unproven] = self.search_all_rows(queries[unproven], k)
        return best, ids

    def search_groups(self, queries: Tensor, groups: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the k best rows of some groups per query, by float32. [n, D], [n, groups] -> [n, k], [n, k]"""
        candidates = groups[:, :, None] * GROUP_ROWS + torch.arange(GROUP_ROWS, device=queries.device)
        candidates = candidates.flatten(1)  # [n, c]
        scores = self.exact_scores(queries, candidates.clamp(max=len(self.table) - 1))
        best, columns = scores.masked_fill_(candidates >= len(self.table), -torch.inf).topk(k)
        return best, candidates.gather(1, columns)

    def upper_bounds(self, queries: Tensor, dtype: torch.dtype) -> Tensor:
        """Return an upper bound of the exact scores of each group's rows. [n, D] -> [n, G] float32"""
        n, rough, rough_queries = len(queries), self.rough_table(dtype), queries.to(dtype)
        maxima = torch.empty(len(rough.product_errors), n, dtype=dtype, device=queries.device)
        step = slab_rows(n, len(rough.table), queries.device)
        for start in range(0, len(rough.table), step):
            rows = rough.table[start : start + step]
            scores = (rows @ rough_queries[0])[:, None] if n == 1 else rows @ rough_queries.T  # [rows, n]
            if rough.offsets is not None:
                scores += rough.offsets[start : start + step, None]
            maxima[start // GROUP_ROWS : (start + len(rows) - 1) // GROUP_ROWS + 1] = group_maxima(scores)
        bounds = maxima.T.float()  # [n, G]
        roundings = 1 if rough.offsets is None else 2  # of a score: product, sum with the offset
        bounds += 1.01 * roundings * rough.roundoff * bounds.abs()
        norms = torch.stack([(queries - rough_queries).norm(dim=1), queries.norm(dim=1)], 1)  # [n, 2]
        bounds = torch.addmm(bounds, norms, rough.product_errors.T)
        return bounds if rough.offset_errors is None else bounds.add_(rough.offset_errors)

    def exact_scores(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Score candidate rows per query in float32. [n, D], [n, c] -> [n, c]"""
        on_cpu = queries.device.type == "cpu"
        size = max(1, CACHED_CELLS // (candidates.shape[1] * queries.shape[1])) if on_cpu else 256
        scores = torch.cat(
            [
                torch.bmm(F.embedding(ids, self.table), part[:, :, None])[:, :, 0]
                for part, ids in zip(queries.split(size), candidates.split(size), strict=True)
            ]
        )
        return scores if self.offsets is None else scores + self.offsets[candidates]

    def search_all_rows(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the k best rows by float32 scores of all rows, 16 queries at a time. [n, D] -> [n, k], [n, k]"""
        parts = [self.all_scores(part).topk(k) for part in queries.split(16)]
        return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])

    def all_scores(self, queries: Tensor) -> Tensor:
        """Score all rows in float32. [n, D] -> [n, V]"""
        products = queries @ self.table.T
        return products if self.offsets is None else products.add_(self.offsets)


def group_maxima(values: Tensor) -> Tensor:
    """Return the maximum of each group of rows; the last group may be shorter. [V, n] -> [G, n]"""
    full = len(values) // GROUP_ROWS * GROUP_ROWS  # rows of complete groups
    maxima = values[:full].view(-1, GROUP_ROWS, values.shape[1]).amax(1)
    return maxima if full == len(values) else torch.cat([maxima, values[full:].amax(0, keepdim=True)])


def slab_rows(n: int, rows: int, device: torch.device) -> int:
    """Return the rows of a slab whose scores of n queries fit the CPU's cache; a GPU is faster with large products."""
    cells = CACHED_CELLS * torch.get_num_threads() if device.type == "cpu" else 2**28
    return min(rows, max(1, cells // (n * ROW_MULTIPLE)) * ROW_MULTIPLE)
