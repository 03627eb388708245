"""Max-margin regressor: the true word's vector is nearer to the prediction than the most informative negative's.

Kumar & Tsvetkov 2019, "Von Mises-Fisher Loss for Training Sequence to Sequence Models with Continuous Outputs".
N positions, H hidden size, V vocabulary size, D columns; n positions per chunk, v words per slab.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from bench.data.vocabulary import Vocabulary
from bench.heads.cosine import CosineHead
from bench.heads.kernels.chunked_gradients import chunk_tokens, split_positions, vocabulary_slabs
from bench.targets.tables import Targets


class MaxMarginHead(CosineHead):
    """Minimise max(0, γ + cos(p, e_j) − cos(p, e)), e the vector of the next word; rank words by cos(p, e_w).

    j is the most informative negative: the word other than the next word that maximises cos(p, e_j) − cos(e, e_j), so
    near the prediction and far from the target. One negative per position replaces the paper's sum over all words, as
    in its experiments. The search reads all rows: O(V) per position, without a gradient. The authors' code has the
    true word among the candidates, where it gives a constant loss; here it is left out, as in the paper's formula.
    A word near the target is no informative negative, so the loss can be 0 while that word is ranked first.

    Args:
        margin: γ.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        vocabulary: Vocabulary,
        targets: Targets,
        margin: Annotated[float, Field(gt=0, le=2)],
    ):
        super().__init__(hidden_size=hidden_size, vocabulary=vocabulary, targets=targets)
        self.margin = margin

    def loss(self, hidden: Tensor, words: Tensor, vectors: Tensor | None = None) -> Tensor:
        predicted, targets = self.queries(hidden), self.target_vectors(words, vectors)
        negatives = self.table.index_select(0, most_informative(predicted.detach(), targets, self.table, words))
        return (self.margin + (predicted * (negatives - targets)).sum(-1)).clamp_min(0).mean()


@torch.no_grad()
def most_informative(predicted: Tensor, targets: Tensor, table: Tensor, words: Tensor) -> Tensor:
    """Return the id j ≠ w that maximises (p − e) · e_j per position, without an [N, V] matrix.

    Shapes: [N, D], [N, D], [V, D], [N] -> [N].
    """
    differences, ids = predicted.to(targets.dtype) - targets, torch.zeros_like(words)
    for span in split_positions(len(words), chunk_tokens(differences, len(table), differences.dtype)):
        true, chosen = words[span], ids[span]  # [n], a view
        highest = differences.new_full((len(true),), -torch.inf)
        for slab in vocabulary_slabs(len(true), len(table), table.device):
            scores = (table[slab] @ differences[span].T).float()  # [v, n]
            inside = ((true >= slab.start) & (true < slab.stop)).nonzero()[:, 0]
            scores[true[inside] - slab.start, inside] = -torch.inf
            best, rows = scores.max(0)
            better = best > highest
            highest[better], chosen[better] = best[better], rows[better] + slab.start
    return ids
