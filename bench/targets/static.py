"""Target table from a file, with one vector per word for all its contexts.

L lexicon types, V ids, D embedding size, n words of a block.
"""

import itertools

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SettingError
from bench.core.progress import print_line
from bench.core.settings import Place, quoted
from bench.data.vocabulary import Vocabulary
from bench.data.words import UNK
from bench.targets.tables import Targets, TypeLevel, whitening
from bench.targets.vector_files import VectorFile, open_vectors


def static(
    *,
    name: str,
    vocabulary: Vocabulary,
    cache_dir: str,
    path: Place | None,
    sha256: str | None,
    level: TypeLevel,
    centre: bool,
    whiten: bool,
    normalise: bool,
) -> Targets:
    """Return targets whose row is the word's vector in the file.

    The row of `<unk>` is the mean over the training words that it replaces and the file has; if there is none, the
    file's own `<unk>`. A word that the file lacks has the mean of the rows that are known. The share of such words is
    printed.

    Args:
        cache_dir: not used; all targets are built with this argument.
        path: a .safetensors file of `python -m bench.targets`, or word2vec text; None for the GloVe wheel.
        sha256: expected hash of the file's content; None expects nothing.
        level: `type`; a file has no vectors of occurrences.
        centre: subtract the mean vector of the training words.
        whiten: scale the vectors to variance 1 in every direction in which they vary, over the training words.
        normalise: scale to unit length at the end.

    Raises:
        SettingError: a file that is missing, damaged, or of another content; no word of the vocabulary is in the file.
    """
    file = open_vectors(path)
    if sha256 is not None and file.sha256 != sha256:
        problem = f"the content of {file.name} is no longer that of this cell; restore it, or run a new cell"
        raise SettingError("targets.path", problem)
    rows = known_rows(file, vocabulary)
    counts = torch.from_numpy(vocabulary.counts).double()
    shares = (counts / counts.sum())[:, None]
    mean = (shares * rows).sum(0)  # [D]
    covariance = rows.T @ (shares * rows) - torch.outer(mean, mean)
    targets = Targets(
        name,
        level,
        rows.float(),
        offset=mean.float() if centre else None,
        mixing=whitening(covariance) if whiten else None,
        normalise=normalise,
    )
    targets.weights_sha256 = file.sha256
    return targets


def known_rows(file: VectorFile, vocabulary: Vocabulary) -> Tensor:
    """Return a row per id, with the rule of `static` for words that the file lacks. [V, D] float64

    Raises:
        SettingError: the file has no word of the vocabulary, or a vector with a number that is not finite.
    """
    corpus, size = vocabulary.corpus, len(vocabulary)
    index = {word: i for i, word in enumerate(corpus.lexicon) if corpus.counts[i] > 0 and word != UNK}
    sums, weights, own_unk = None, torch.zeros(size, dtype=torch.float64), None
    for words, vectors in file.read({*index, UNK}):
        if sums is None:
            sums = torch.zeros(size, vectors.shape[1], dtype=torch.float64)
        if not np.isfinite(vectors).all():
            word = words[int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])]
            problem = f"in {file.name} the vector of {quoted(word)} contains an infinite value or NaN"
            raise SettingError("targets.path", f"{problem}; correct the file")
        holds = vectors.any(1)  # a zero vector has no direction, so it counts as missing
        words, vectors = list(itertools.compress(words, holds)), vectors[holds]
        found = [(index.pop(word), at) for at, word in enumerate(words) if word in index]  # the first of equal words
        if UNK in words:
            own_unk = torch.from_numpy(vectors[words.index(UNK)]).double()
        if not found:
            continue
        types, positions = map(list, zip(*found, strict=True))
        ids = torch.from_numpy(vocabulary.ids[types]).long()
        counts = torch.from_numpy(corpus.counts[types]).double()
        sums.index_add_(0, ids, counts[:, None] * torch.from_numpy(vectors[positions]).double())
        weights.index_add_(0, ids, counts)
    known = weights > 0
    known[vocabulary.unk] = False
    if sums is None or not known.any():
        problem = f"{file.name} has no word of the {size - 1:,} in the vocabulary"
        remedy = "give vectors of this language, or corpus.lowercase=false if its words have capitals"
        raise SettingError("targets.path", f"{problem}; {remedy}")
    rows = sums / weights.clamp(min=1)[:, None]
    average = rows[known].mean(0)
    if not weights[vocabulary.unk]:
        rows[vocabulary.unk] = average if own_unk is None else own_unk
    known[vocabulary.unk] = True
    rows[~known] = average
    report_missing(file.name, vocabulary, ~known)
    return rows


def report_missing(file_name: str, vocabulary: Vocabulary, missing: Tensor) -> None:
    """Print the share of words that have no vector of their own. missing: [V] bool"""
    count = int(missing.sum())
    if not count:
        return
    share = vocabulary.share(missing.numpy())
    print_line(
        f"targets.path: {file_name} lacks {count:,} of {len(vocabulary) - 1:,} words ({share:.2%} of the training "
        "words); they share the mean of the known rows"
    )
