"""Exact decoding and ranks of any head: of inner products by kernels that hold no [n, V] matrix, else from all scores.

n queries, V words, H hidden size, K columns of a query.
"""

from functools import cached_property

import torch
from torch import Tensor

from bench.evaluation.ranks import count_ranks
from bench.heads import Head
from bench.heads.kernels.topk import Index, standing

MANY = 2**14  # rows from which the kernels pay


class ExactDecoder:
    """Of one head.

    Args:
        head: asked.
        unk: the id that is never an answer to a rank.
    """

    def __init__(self, head: Head, unk: int):
        self.head, self.unk, self.found = head, unk, head.rows()

    @property
    def many(self) -> bool:
        """Are scores inner products with many rows?"""
        return self.found is not None and len(self.found[0]) >= MANY

    @cached_property
    def index(self) -> Index:
        """Kept from the first question on."""
        return Index(*self.found)

    def best(self, hidden: Tensor, count: int) -> Tensor:
        """The words of the highest scores. [n, H] -> [n, count]"""
        if not self.many:
            return self.head.scores(hidden).topk(count).indices
        return self.index(self.head.queries(hidden), count)[1]

    def ranks(self, hidden: Tensor, words: Tensor) -> Tensor:
        """Of the true words: 1 + those that score higher and half of the other ties. [n, H], [n] -> [n]"""
        if not self.many:
            return count_ranks(self.head.scores(hidden), words, self.unk).rank
        with torch.autocast(hidden.device.type, enabled=False):
            higher, level = standing(self.head.queries(hidden).float(), *self.found, words, self.unk)
        return torch.where(words == self.unk, torch.inf, 1 + higher + (level - 1) / 2)
