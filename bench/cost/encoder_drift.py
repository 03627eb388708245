"""Drift: how far the vectors of a cheap context are from exact vectors.

Legend: N words, D width of the encoder.
"""

from collections.abc import Mapping

import numpy as np

from bench.cost.schema import Drift

CELLS = 1 << 24  # cosines per block; bounds memory to 64 MiB

TIE = 1e-6  # cosines that differ by less are equal: float32 rounding


def drifts(cheap: Mapping[str, np.ndarray], exact: np.ndarray, within: np.ndarray, *, seed: int) -> list[Drift]:
    """Return a row per cheap context, and a row of exact vectors in shuffled order: the similarity of unrelated words.

    Args:
        cheap: by name. [N, D] each
        exact: `prefix`: one pass per word, over the window that ends at the word. [N, D]
        within: exact vectors over only the words that a causal pass reads: from the start of its window. [N, D]
    """
    shuffled = np.random.default_rng(seed).permutation(len(exact))
    rows = [
        Drift(
            vectors=name,
            cosine=mean_cosine(vectors, exact),
            own_nearest=own_nearest(vectors, exact),
            cosine_within=mean_cosine(vectors, within),
            own_nearest_within=own_nearest(vectors, within),
        )
        for name, vectors in cheap.items()
    ]
    unrelated = {"cosine": mean_cosine(exact[shuffled], exact), "cosine_within": mean_cosine(within[shuffled], within)}
    return [*rows, Drift(vectors="prefix of another place", **unrelated)]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; zero rows stay. [N, D] -> [N, D]"""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair of rows. [N, D], [N, D] -> [N]"""
    return np.einsum("nd,nd->n", unit(one), unit(other))


def mean_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean cosine of pairs of rows, to five digits. [N, D], [N, D]"""
    return float(f"{cosines(one, other).mean():.5g}")


def own_nearest(vectors: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of positions whose own exact vector is the nearest by cosine, ties included.

    Positions after equal words have equal exact vectors, hence ties. [N, D], [N, D]
    """
    queries, known = unit(vectors), unit(exact)
    block, own = max(1, CELLS // len(known)), 0
    for start in range(0, len(queries), block):
        similarity = queries[start : start + block] @ known.T  # [block, N]
        to_own = similarity[np.arange(len(similarity)), np.arange(start, start + len(similarity))]
        own += int((to_own >= similarity.max(1) - TIE).sum())
    return own / len(queries)
