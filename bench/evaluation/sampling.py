"""Temperature, top-k and top-p: the distribution that a continuation is drawn from. V number of words or pieces."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """Turns logits into the probabilities of the next draw.

    Top-p keeps the smallest set of likeliest candidates that together have at least this probability, after
    temperature and top-k (nucleus sampling, Holtzman et al. 2020).
    """

    temperature: float = 1.0  # above 0; logits are divided by this number
    top_k: int | None = None  # number of candidates kept; None: all
    top_p: float | None = None  # above 0, at most 1; None: all

    def __call__(self, logits: Tensor) -> Tensor:
        """Return probabilities. [V] -> [V]"""
        p = (logits / self.temperature).softmax(0)
        if self.top_k is not None:
            p = keep(p, p.topk(min(self.top_k, len(p))).indices)
        if self.top_p is not None:
            falling, order = p.sort(descending=True)
            before = falling.cumsum(0) - falling  # probability of all likelier candidates
            p = keep(p, order[before < self.top_p])
        return p


def keep(p: Tensor, candidates: Tensor) -> Tensor:
    """Set the probability of all other candidates to 0, and renormalise. [V], indices [k] -> [V]"""
    kept = torch.zeros_like(p)
    kept[candidates] = p[candidates]
    return kept / kept.sum()


PLAIN = Sampling()
