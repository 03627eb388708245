"""Exact decoding: the best words and true ranks, by kernels without an [n, V] matrix where scores are inner products.

Greedy generation uses this decoder. Its time is the decode latency of records (`bench.cost.record_costs`) and ledgers
(`bench.cost.head_rounds`).
n queries, V words, K columns of a query.
"""

from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from bench.evaluation.ranks import count_ranks
from bench.heads.kernels.rank_counts import count_higher_and_equal
from bench.heads.kernels.topk import TopKIndex

ANSWERS = 10  # number of best words that a timed query returns
QUERIES = (1, 256)  # numbers of queries that are timed together
INDEX_ROWS = 2**14  # smallest V for which the index is faster than computing the scores of all words

# Scores n · V that a GPU holds at once. Computing all of them is then faster than the index: 5 times for one query and
# 3 times for 256, measured on an H200 at V = 100,000.
SCORES_ON_GPU = 2**28


class Scorer(Protocol):
    """Interface that `Head` (its features are hidden states) and `ClosedVocabularyModel` share."""

    def scores(self, features: Tensor) -> Tensor: ...  # [n, …] -> [n, V]
    def rows(self) -> tuple[Tensor, Tensor | None] | None: ...  # [V, K], [V]
    def queries(self, features: Tensor) -> Tensor: ...  # [n, …] -> [n, K]


class ExactDecoder:
    """Finds the words of the highest scores, exactly.

    Args:
        scorer: head or model, whose weights must not change afterwards.
        unk: id of `<unk>`, which `ranks` and `best_word` exclude.
    """

    def __init__(self, scorer: Scorer, unk: int):
        self.scorer, self.unk, self.rows = scorer, unk, scorer.rows()

    def uses_index(self, queries: int, device: torch.device) -> bool:
        """True if scores are inner products, and the index is faster than computing the scores of all words."""
        size = 0 if self.rows is None else len(self.rows[0])
        return size >= INDEX_ROWS and (device.type == "cpu" or queries * size > SCORES_ON_GPU)

    @cached_property
    def index(self) -> TopKIndex:
        """Index over the rows; built by the first query and kept."""
        return TopKIndex(*self.rows)

    def all_scores(self, features: Tensor) -> Tensor:
        """Return the scores of all words, exact under autocast too. [n, …] -> [n, V]"""
        with torch.autocast(features.device.type, enabled=False):
            return self.scorer.scores(features)

    @torch.inference_mode()
    def best(self, features: Tensor, count: int) -> Tensor:
        """Return the words of the highest scores, best first. [n, …] -> ids [n, count]"""
        if not self.uses_index(len(features), features.device):
            return self.all_scores(features).topk(count).indices
        return self.index(self.scorer.queries(features), count)[1]

    @torch.inference_mode()
    def best_word(self, features: Tensor) -> Tensor:
        """Return the word of the highest score, `<unk>` excluded. [n, …] -> ids [n]"""
        if not self.uses_index(len(features), features.device):
            scores = self.all_scores(features).float()
            # argmax takes the lowest id of equal scores, common with n-grams: the most frequent word
            return scores.index_fill(1, torch.tensor(self.unk, device=scores.device), -torch.inf).argmax(1)
        first, second = self.best(features, 2).T
        return torch.where(first == self.unk, second, first)

    def ranks(self, features: Tensor, words: Tensor) -> Tensor:
        """Return the true words' ranks: 1 + number of higher scores + half the number of other ties. [n, …], [n] -> [n]

        `<unk>` does not count as another word, and its own rank is infinite.
        """
        if not self.uses_index(len(features), features.device):
            return count_ranks(self.all_scores(features), words, self.unk).rank
        with torch.autocast(features.device.type, enabled=False):
            higher, equal = count_higher_and_equal(self.scorer.queries(features).float(), *self.rows, words, self.unk)
        return torch.where(words == self.unk, torch.inf, 1 + higher + (equal - 1) / 2)
