"""Counts that give the true word's rank, without an [n, V] matrix of scores.

n queries, D columns, V rows of the table.
"""

import torch
from torch import Tensor

from bench.heads.kernels.topk import slab_rows

QUERIES_PER_BLOCK = 256  # queries that are ranked together


@torch.inference_mode()
def count_higher_and_equal(
    queries: Tensor, table: Tensor, offsets: Tensor | None, words: Tensor, unk: int
) -> tuple[Tensor, Tensor]:
    """Count the words except `unk` that score higher than the true word, and those that score equal to the true word.

    Args:
        queries: [n, D] float32.
        table, offsets: [V, D] and [V] (None: no offsets), float32; the scores are `queries @ table.T + offsets`.
        words: ids of the true words. [n]
        unk: id of the row that is never counted.

    Returns:
        Two counts, as floats: higher [n]; equal, the true word included [n].
    """
    blocks = zip(queries.split(QUERIES_PER_BLOCK), words.split(QUERIES_PER_BLOCK), strict=True)
    counts = [_count_in_block(part, table, offsets, true, unk) for part, true in blocks]
    return torch.cat([higher for higher, _ in counts]), torch.cat([equal for _, equal in counts])


def _count_in_block(
    queries: Tensor, table: Tensor, offsets: Tensor | None, words: Tensor, unk: int
) -> tuple[Tensor, Tensor]:
    """Count for one block of queries; each slab of scores is compared in place.

    All products have the same shape, the product that scores the true words too: products of other shapes round
    differently, and then equal rows would not tie.
    """
    n, size = len(queries), len(table)
    step = slab_rows(n, size, queries.device)
    buffers = queries.new_empty(2, step, n)

    def product(rows: Tensor, add: Tensor | None) -> Tensor:  # [rows, n]
        out = buffers[0] if len(rows) == step else queries.new_empty(len(rows), n)
        return (
            torch.mm(rows, queries.T, out=out) if add is None else torch.addmm(add[:, None], rows, queries.T, out=out)
        )

    repeated = words.repeat(max(1, -(-step // n)))[: max(n, step)]  # fills a slab's rows
    true = product(table[repeated], None if offsets is None else offsets[repeated])[:n].diagonal().clone()  # [n]
    higher, equal = queries.new_zeros(2, n)
    for start in range(0, size, step):
        begin = min(start, size - step)  # the last slab overlaps the slab before
        slab = slice(begin, begin + step)
        scores = product(table[slab], None if offsets is None else offsets[slab])
        here = ((words >= begin) & (words < slab.stop)).nonzero()[:, 0]
        scores[words[here] - begin, here] = true[here]
        if begin <= unk < slab.stop:
            scores[unk - begin] = -torch.inf  # never an answer
        scores, comparison = scores[start - begin :], buffers[1, start - begin :]
        higher += torch.gt(scores, true, out=comparison).sum(0)  # floats are summed several times faster than booleans
        equal += torch.eq(scores, true, out=comparison).sum(0)
    return higher, equal
