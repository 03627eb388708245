"""How far the vectors of a cheap context are from exact ones.

N words, D the width.
"""

from collections.abc import Mapping

import numpy as np

from bench.cost.schema import Drift

CELLS = 1 << 24  # of a block of cosines

SAME = 1e-6  # of a cosine: no more than float32 rounds


def drifts(cheap: Mapping[str, np.ndarray], exact: np.ndarray, within: np.ndarray, *, seed: int) -> list[Drift]:
    """A row for each of the cheap, and one for what words have in common that have nothing to do with each other.

    Args:
        cheap: [N, D] each.
        exact: `prefix`: a pass over the words that end at each. [N, D]
        within: the same, over those alone that a causal pass reads too: its window from the start. [N, D]
    """
    shuffled = np.random.default_rng(seed).permutation(len(exact))
    rows = [
        Drift(
            vectors=name,
            cosine=mean_cosine(some, exact),
            own_nearest=own_nearest(some, exact),
            cosine_within=mean_cosine(some, within),
            own_nearest_within=own_nearest(some, within),
        )
        for name, some in cheap.items()
    ]
    apart = {"cosine": mean_cosine(exact[shuffled], exact), "cosine_within": mean_cosine(within[shuffled], within)}
    return [*rows, Drift(vectors="prefix of another place", **apart)]


def unit(some: np.ndarray) -> np.ndarray:
    """Rows of length 1; those of length 0 stay."""
    length = np.linalg.norm(some, axis=1, keepdims=True)
    return some / np.where(length > 0, length, 1)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Row by row. [N, D], [N, D] -> [N]"""
    return np.einsum("nd,nd->n", unit(one), unit(other))


def mean_cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(f"{cosines(one, other).mean():.5g}")


def own_nearest(some: np.ndarray, exact: np.ndarray) -> float:
    """The share of places whose own exact vector is the nearest by cosine, alone or with others. [N, D], [N, D]

    Places where the same words were read have the same vector.
    """
    asked, known = unit(some), unit(exact)
    block, own = max(1, CELLS // len(known)), 0
    for start in range(0, len(asked), block):
        found = asked[start : start + block] @ known.T
        theirs = found[np.arange(len(found)), np.arange(start, start + len(found))]
        own += int((theirs >= found.max(1) - SAME).sum())
    return own / len(asked)
