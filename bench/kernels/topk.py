"""The best of all words for a few queries, and the true word's rank, without an [n, V] matrix of scores.

n queries, D columns, V rows of the table, g rows of a group, G groups, c candidates.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

GROUP = 8  # rows whose largest rough score stands for them
FIRST_LOOK, SECOND_LOOK = 8, 54  # groups looked into beyond the k that could each hold one answer
CACHED_CELLS = 2**19  # of a slab of scores on a CPU, for each thread
HALF_STEP = 2**-9  # of bfloat16: rounding moves no number further, relative to it


class Index:
    """The k largest of `queries @ table.T + offsets`, exactly.

    Rough scores choose candidates, float32 decides among them, and a bound tells whether a row that was left out could
    be better; queries where one could are given a second look, and in the end are scored against every row.

    Args:
        table: [V, D] float32; a rough copy of half its size is kept.
        offsets: [V] float32, added to the scores; None for none.
    """

    def __init__(self, table: Tensor, offsets: Tensor | None = None):
        self.table, self.offsets = table.detach(), None if offsets is None else offsets.detach()
        short = -len(table) % GROUP
        rows = torch.cat([self.table, self.table[-1:].expand(short, -1)])  # the last group is filled with its last row
        self.rough = rows.bfloat16()  # [G · g, D]
        lengths, rounding = self.rough.float().norm(dim=1), (rows - self.rough).norm(dim=1)
        # |q · t − rough q · rough t| <= |q − rough q| · |rough t| + |q| · |t − rough t|, and what summing loses
        reach = torch.stack([lengths, rounding + rows.shape[1] * 2**-23 * lengths], 1)  # [G · g, 2]
        self.reach = reach.view(-1, GROUP, 2).amax(1)  # [G, 2]
        self.add: Tensor | None = None
        if self.offsets is not None:
            add = torch.cat([self.offsets, self.offsets[-1:].expand(short)])
            self.add, self.slack = add.bfloat16()[:, None], 2.1 * HALF_STEP * add.abs().view(-1, GROUP).amax(1)  # [G]

    @torch.inference_mode()
    def __call__(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and ids, best first. [n, D] -> [n, k], [n, k]"""
        with torch.autocast(queries.device.type, enabled=False):
            queries = queries.float()
            best, ids = queries.new_empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.long)
            ids = ids.to(queries.device)
            bounds, unsure = self.bounds(queries), torch.arange(len(queries), device=queries.device)
            for groups in (k + FIRST_LOOK, k + SECOND_LOOK):
                if len(self.reach) > 2 * groups and len(unsure):
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

    def bounds(self, queries: Tensor) -> Tensor:
        """No row of a group scores higher. [n, D] -> [n, G]"""
        n, rows = len(queries), len(self.rough)
        rough = queries.bfloat16()
        tops = torch.empty(rows // GROUP, n, dtype=torch.bfloat16, device=queries.device)
        step = slab_rows(n, rows, queries.device)
        for start in range(0, rows, step):
            slab = slice(start, start + step)
            scores = self.rough[slab] @ rough[0] if n == 1 else self.rough[slab] @ rough.T
            scores = scores.view(-1, n)
            if self.add is not None:
                scores += self.add[slab]
            torch.amax(scores.view(-1, GROUP, n), 1, out=tops[start // GROUP : (start + step) // GROUP])
        bounds = tops.T.float()  # [n, G]
        roundings = 1 if self.add is None else 2  # of the results themselves
        bounds += 1.01 * roundings * HALF_STEP * bounds.abs()
        lengths = torch.stack([(queries - rough).norm(dim=1), queries.norm(dim=1)], 1)  # [n, 2]
        bounds = torch.addmm(bounds, lengths, self.reach.T)
        return bounds if self.add is None else bounds.add_(self.slack)

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
        found = [scores_of(some, self.table, self.offsets).topk(k) for some in queries.split(16)]
        return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])


def slab_rows(n: int, rows: int, device: torch.device) -> int:
    """A multiple of the group whose cells for n queries a CPU's cache holds; a GPU wants one large product."""
    cells = CACHED_CELLS * torch.get_num_threads() if device.type == "cpu" else 2**28
    return min(rows, max(1, cells // (n * GROUP)) * GROUP)


def scores_of(queries: Tensor, table: Tensor, offsets: Tensor | None) -> Tensor:
    """[n, D], [V, D], [V] -> [n, V]"""
    return queries @ table.T if offsets is None else torch.addmm(offsets, queries, table.T)


@torch.inference_mode()
def standing(queries: Tensor, table: Tensor, offsets: Tensor | None, words: Tensor, unk: int) -> tuple[Tensor, Tensor]:
    """How many words but `unk` score higher than the true one, and how many level with it. [n, D], [n] -> [n], [n]

    Slabs of scores are compared where they lie, with true scores that are products of the same kind: equal rows tie.
    """
    n, size = len(queries), len(table)
    step = slab_rows(n, size, queries.device)
    cells, answers = queries.new_empty(2, n * step)
    of_words = None if offsets is None else offsets[words]
    true = scores_of(queries, table[words], of_words).diagonal()[:, None].contiguous()  # [n, 1]
    higher, level = queries.new_zeros(2, n)
    for start in range(0, size, step):
        slab = slice(start, min(size, start + step))
        scores, answer = (each[: n * (slab.stop - start)].view(n, -1) for each in (cells, answers))
        if offsets is None:
            torch.mm(queries, table[slab].T, out=scores)
        else:
            torch.addmm(offsets[slab], queries, table[slab].T, out=scores)
        here = ((words >= start) & (words < slab.stop)).nonzero()[:, 0]
        scores[here, words[here] - start] = true[here, 0]
        if start <= unk < slab.stop:
            scores[:, unk - start] = -torch.inf  # never an answer
        higher += torch.gt(scores, true, out=answer).sum(1)  # as floats: several times faster than as booleans
        level += torch.eq(scores, true, out=answer).sum(1)
    return higher, level
