"""The best of all words for a few queries, and the true word's rank, without an [n, V] matrix of scores.

n queries, D columns, V rows of the table, g rows of a group, G groups, c candidates.
"""

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.hardware import computes_bf16

GROUP = 8  # rows whose largest rough score stands for them

FIRST_LOOK = {torch.bfloat16: 8, torch.float32: 1}  # groups looked into beyond the k that could each hold one answer

SECOND_LOOK = 54

QUERIES_AT_ONCE = 256  # that are ranked

CACHED_CELLS = 2**18  # of a slab of scores on a CPU, for each thread

BLOCK = 2**12  # rows that are looked at together while an index is made

EVEN = 64  # rows: a multiple leaves a product no edge, where its kernel would be another


class Rough(NamedTuple):
    """What candidates are chosen by, and how far its scores may be from the exact ones."""

    rows: Tensor  # [V, D]
    offsets: Tensor | None  # [V]
    reach: Tensor  # of each group, times |q − rough q| and |q|: the largest errors of its products. [G, 2]
    slack: Tensor | None  # of its offsets. [G]
    half_step: float  # rounding moves no number further, relative to it


class Index:
    """The k largest of `queries @ table.T + offsets`, exactly.

    Rough scores choose candidates, float32 decides among them, and a bound tells whether a row that was left out could
    be better; queries where one could are given a second look, and in the end are scored against every row. Rough is
    bfloat16 where the hardware computes in it, and for a single query, which waits for memory alone.

    Args:
        table: [V, D] float32; a copy of half its size is kept where rough is bfloat16.
        offsets: [V] float32, added to the scores; None for none.
    """

    def __init__(self, table: Tensor, offsets: Tensor | None = None):
        self.table, self.offsets = table.detach(), None if offsets is None else offsets.detach()
        self.rough = cache(self._rough)

    def _rough(self, kind: torch.dtype) -> Rough:
        """|q · t − rough q · rough t| <= |q − rough q| · |rough t| + |q| · |t − rough t|, and what summing loses."""
        rows = self.table if kind == self.table.dtype else torch.empty_like(self.table, dtype=kind)
        errors = self.table.new_empty(len(rows), 2)  # [V, 2]
        for some in (slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)):
            exact = self.table[some]
            near = exact.to(kind)
            if rows is not self.table:
                rows[some] = near
            near = near.float()
            torch.linalg.vector_norm(near, dim=1, out=errors[some, 0])
            torch.linalg.vector_norm(exact - near, dim=1, out=errors[some, 1])
        errors[:, 1] += rows.shape[1] * 2**-23 * errors[:, 0]
        offsets = slack = None
        half_step = torch.finfo(kind).eps / 2
        if self.offsets is not None:
            offsets = self.offsets.to(kind)
            slack = 2.1 * half_step * tops(self.offsets.abs()[:, None])[:, 0]
        return Rough(rows, offsets, tops(errors), slack, half_step)

    @torch.inference_mode()
    def __call__(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and ids, best first. [n, D] -> [n, k], [n, k]"""
        with torch.autocast(queries.device.type, enabled=False):
            queries = queries.float()
            kind = torch.bfloat16 if len(queries) == 1 or computes_bf16(queries.device) else torch.float32
            best, ids = queries.new_empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.long)
            ids = ids.to(queries.device)
            bounds, unsure = self.bounds(queries, kind), torch.arange(len(queries), device=queries.device)
            for groups in (k + FIRST_LOOK[kind], k + SECOND_LOOK):
                if bounds.shape[1] > 2 * groups and len(unsure):
                    highest, chosen = bounds[unsure].topk(groups + 1)  # [n, groups + 1]
                    best[unsure], ids[unsure] = self.among(queries[unsure], chosen[:, :groups], k)
                    unsure = unsure[~(highest[:, groups] < best[unsure, -1])]
            if len(unsure):
                best[unsure], ids[unsure] = self.plain(queries[unsure], k)
        return best, ids

    def among(self, queries: Tensor, groups: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The best of some groups' rows, by float32. [n, D], [n, groups] -> [n, k], [n, k]"""
        members = groups[:, :, None] * GROUP + torch.arange(GROUP, device=queries.device)
        members = members.flatten(1)  # [n, c]
        scores = self.rescore(queries, members.clamp(max=len(self.table) - 1))
        best, at = scores.masked_fill_(members >= len(self.table), -torch.inf).topk(k)
        return best, members.gather(1, at)

    def bounds(self, queries: Tensor, kind: torch.dtype) -> Tensor:
        """No row of a group scores higher. [n, D] -> [n, G]"""
        n, rough, asked = len(queries), self.rough(kind), queries.to(kind)
        highest = torch.empty(len(rough.reach), n, dtype=kind, device=queries.device)
        step = slab_rows(n, len(rough.rows), queries.device)
        for start in range(0, len(rough.rows), step):
            rows = rough.rows[start : start + step]
            scores = (rows @ asked[0])[:, None] if n == 1 else rows @ asked.T  # [rows, n]
            if rough.offsets is not None:
                scores += rough.offsets[start : start + step, None]
            highest[start // GROUP : (start + len(rows) - 1) // GROUP + 1] = tops(scores)
        bounds = highest.T.float()  # [n, G]
        roundings = 1 if rough.offsets is None else 2  # of the results themselves
        bounds += 1.01 * roundings * rough.half_step * bounds.abs()
        lengths = torch.stack([(queries - asked).norm(dim=1), queries.norm(dim=1)], 1)  # [n, 2]
        bounds = torch.addmm(bounds, lengths, rough.reach.T)
        return bounds if rough.slack is None else bounds.add_(rough.slack)

    def rescore(self, queries: Tensor, members: Tensor) -> Tensor:
        """[n, D], [n, c] -> [n, c] in float32"""
        some = max(1, CACHED_CELLS // (members.shape[1] * queries.shape[1])) if queries.device.type == "cpu" else 256
        scores = torch.cat(
            [
                torch.bmm(F.embedding(ids, self.table), asked[:, :, None])[:, :, 0]
                for asked, ids in zip(queries.split(some), members.split(some), strict=True)
            ]
        )
        return scores if self.offsets is None else scores + self.offsets[members]

    def plain(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Every row in float32, a few queries at a time."""
        found = [self.scores(some).topk(k) for some in queries.split(16)]
        return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])

    def scores(self, queries: Tensor) -> Tensor:
        """[n, D] -> [n, V]"""
        products = queries @ self.table.T
        return products if self.offsets is None else products.add_(self.offsets)


def tops(values: Tensor) -> Tensor:
    """The largest of each group of rows, the last one as short as it is. [V, n] -> [G, n]"""
    whole = len(values) // GROUP * GROUP
    found = values[:whole].view(-1, GROUP, values.shape[1]).amax(1)
    return found if whole == len(values) else torch.cat([found, values[whole:].amax(0, keepdim=True)])


def slab_rows(n: int, rows: int, device: torch.device) -> int:
    """How many rows' cells for n queries a CPU's cache holds, without edges; a GPU wants one large product."""
    cells = CACHED_CELLS * torch.get_num_threads() if device.type == "cpu" else 2**28
    return min(rows, max(1, cells // (n * EVEN)) * EVEN)


@torch.inference_mode()
def standing(queries: Tensor, table: Tensor, offsets: Tensor | None, words: Tensor, unk: int) -> tuple[Tensor, Tensor]:
    """How many words but `unk` score higher than the true one, and how many level with it. [n, D], [n] -> [n], [n]"""
    blocks = zip(queries.split(QUERIES_AT_ONCE), words.split(QUERIES_AT_ONCE), strict=True)
    found = [standing_of_block(some, table, offsets, true, unk) for some, true in blocks]
    return torch.cat([higher for higher, _ in found]), torch.cat([level for _, level in found])


def standing_of_block(
    queries: Tensor, table: Tensor, offsets: Tensor | None, words: Tensor, unk: int
) -> tuple[Tensor, Tensor]:
    """Slabs of scores are compared where they lie.

    All products are of one shape, the true words' own among them: equal rows then tie, as other shapes round otherwise.
    """
    n, size = len(queries), len(table)
    step = slab_rows(n, size, queries.device)
    buffers = queries.new_empty(2, step, n)

    def product(rows: Tensor, add: Tensor | None) -> Tensor:  # [rows, n]
        out = buffers[0] if len(rows) == step else queries.new_empty(len(rows), n)
        return (
            torch.mm(rows, queries.T, out=out) if add is None else torch.addmm(add[:, None], rows, queries.T, out=out)
        )

    again = words.repeat(max(1, -(-step // n)))[: max(n, step)]  # as many rows as a slab has
    true = product(table[again], None if offsets is None else offsets[again])[:n].diagonal().clone()  # [n]
    higher, level = queries.new_zeros(2, n)
    for start in range(0, size, step):
        begin = min(start, size - step)  # the last slab begins within the one before
        slab = slice(begin, begin + step)
        scores = product(table[slab], None if offsets is None else offsets[slab])
        here = ((words >= begin) & (words < slab.stop)).nonzero()[:, 0]
        scores[words[here] - begin, here] = true[here]
        if begin <= unk < slab.stop:
            scores[unk - begin] = -torch.inf  # never an answer
        scores, answer = scores[start - begin :], buffers[1, start - begin :]
        higher += torch.gt(scores, true, out=answer).sum(0)  # as floats: several times faster than as booleans
        level += torch.eq(scores, true, out=answer).sum(0)
    return higher, level
