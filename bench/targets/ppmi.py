"""Target table counted from the training words: positive pointwise mutual information, factorised by an SVD.

Levy et al. 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings".
N training words, V ids, D columns.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from scipy import sparse

from bench.core.disk_cache import cached_folder
from bench.core.errors import SettingError
from bench.core.progress import print_line
from bench.core.reserved_array import reserved
from bench.core.settings import Width
from bench.data.corpus import Text
from bench.data.vocabulary import Vocabulary
from bench.targets.tables import Targets, TypeLevel

SMOOTHING = 0.75  # exponent on the counts of context words, as in the paper; rare contexts would dominate otherwise

VERSION = 1  # of the computation; a higher number makes every cached table again

EMPTY = 1e-5  # norm below which a row is the rounding of the SVD, as its word has no PMI

ITERATIONS = 7  # power iterations of the randomised SVD, scikit-learn's value for few components


def ppmi(
    *,
    name: str,
    vocabulary: Vocabulary,
    cache_dir: str,
    level: TypeLevel,
    dimension: Width,
    window: Annotated[int, Field(ge=1, le=100)],
    shift: Annotated[float, Field(ge=1, le=1e4)],
    unit_length: bool,
) -> Targets:
    """Return rows U · √Σ of the SVD of max(0, PMI(w, c) − log shift), w and c both the V ids.

    Only the training words of the cell are counted, so the table is the control for what a pre-trained encoder has
    learnt from other text. `<unk>` counts as one word. A word without any PMI above log shift, such as a frequent one
    at a large shift, has no row of its own; it gets the mean of the other rows, and a line says how many words that
    are. Rows are cached as float16.

    Args:
        level: `type`; counted vectors belong to words, not to occurrences.
        dimension: D, components of the SVD, fewer than V.
        window: words to each side of a word that are its contexts, in the same document, all with weight 1.
        shift: k of the shifted PPMI; 1 does not shift.
        unit_length: scale the rows to length 1.

    Raises:
        SettingError: a dimension that is not less than V, or a shift that leaves no word a row.
    """
    size = len(vocabulary)
    if dimension >= size:
        raise SettingError("targets.dimension", f"{dimension} components need dimension < {size} = V; lower it")

    def fill(folder: Path, heartbeat: Callable[[], None]) -> dict[str, Any]:
        rows = reserved(folder / "rows.npy", (size, dimension))
        counts = cooccurrences(vocabulary.encode(vocabulary.corpus.train.words), vocabulary.corpus.train, size, window)
        heartbeat()
        rows[:] = factorise(positive_pmi(counts, shift), dimension)
        rows.flush()  # raises an error of the disk before the folder counts as made
        return {}

    settings = {
        "train": vocabulary.corpus.fingerprint("train"),
        "ppmi": VERSION,
        "vocabulary_size": size,
        "dimension": dimension,
        "window": window,
        "shift": shift,
    }
    found = cached_folder(Path(cache_dir) / "ppmi", settings, what="counting word vectors", fill=fill)
    rows = torch.from_numpy(found.array("rows").astype(np.float32))
    empty = rows.norm(dim=1) < EMPTY
    if empty.all():
        raise SettingError("targets.shift", f"no pair of words has a PMI above log {shift:g}; lower it")
    if empty.any():
        share = vocabulary.share(empty.numpy())
        print_line(
            f"targets.shift: {int(empty.sum()):,} of {size:,} words ({share:.2%} of the training words) have no row, "
            f"as no PMI of theirs is above log {shift:g} or in the {dimension} components; they share the rows' mean"
        )
        rows[empty] = rows[~empty].mean(0)
    return Targets(name, level, rows, normalise=unit_length)


def cooccurrences(ids: np.ndarray, text: Text, size: int, window: int) -> sparse.csr_array:
    """Count how often word c is at most `window` words from word w in one document. [N] -> [V, V]"""
    document = np.repeat(np.arange(len(text.starts) - 1), np.diff(text.starts))
    counts = sparse.csr_array((size, size), dtype=np.float64)
    for distance in range(1, min(window, len(ids) - 1) + 1):
        together = document[distance:] == document[:-distance]
        left, right = ids[:-distance][together], ids[distance:][together]
        counts += sparse.coo_array((np.ones(len(left)), (left, right)), shape=counts.shape).tocsr()
    return counts + counts.T


def positive_pmi(counts: sparse.csr_array, shift: float) -> sparse.csr_array:
    """Return max(0, log [p(w, c) / (p(w) q(c))] − log shift), q(c) ∝ count(c) ** SMOOTHING. [V, V] -> [V, V]"""
    pairs = counts.tocoo()
    words, contexts = np.asarray(counts.sum(1)), np.asarray(counts.sum(0)) ** SMOOTHING
    with np.errstate(divide="raise"):
        log_expected = np.log(words[pairs.row]) + np.log(contexts[pairs.col] / contexts.sum())
    values = np.log(pairs.data) - log_expected - math.log(shift)
    kept = values > 0
    return sparse.coo_array((values[kept], (pairs.row[kept], pairs.col[kept])), shape=counts.shape).tocsr()


def factorise(matrix: sparse.csr_array, dimension: int) -> np.ndarray:
    """Return U · √Σ of the `dimension` largest singular values; the seed and the signs are fixed. [V, V] -> [V, D]"""
    from sklearn.utils.extmath import randomized_svd  # slow to import, and only this function needs it

    left, values, _ = randomized_svd(matrix, dimension, n_iter=ITERATIONS, random_state=0, flip_sign=True)
    return left * np.sqrt(values)
