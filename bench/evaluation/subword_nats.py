"""Nats and exact ranks per word under a model of word pieces.

p(word) = Π p(pieces) · P(word-initial | after the word) / P(word-initial | before the word) (Pimentel & Meister,
2024): without the two masses it would be the probability of all words that begin with these pieces.
N words, D documents, P pieces of the text, S distinct pieces, C context, M searched positions, R of them at a time.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import torch

from bench.core.errors import Diverged
from bench.data.text import Text
from bench.data.vocabulary import Vocabulary
from bench.data.words import UNK
from bench.evaluation import brier_lm
from bench.evaluation.score import document_and_word, evenly_spaced
from bench.evaluation.subword_brier import brier_n
from bench.evaluation.subword_search import initial_pieces, log_sums, search
from bench.evaluation.subword_trie import build_trie
from bench.models.causal_lm import SubwordModel
from bench.models.causal_lm_builders import weights_digest
from bench.models.piece_readers import CELLS, plain_logits

KEPT: dict[str, np.ndarray] = {}  # results of `once_per_model`, the latest last

MOST_KEPT = 3  # validation nats, test nats and Brier-n of one model


def score_words(model: SubwordModel, text: Text, vocabulary: Vocabulary, *, search_words: int) -> dict[str, np.ndarray]:
    """Return the values per position that a record keeps. [N] each

    Args:
        search_words: number of positions, evenly spread, that are ranked; a rank beyond 10 is infinite. The rank is
            NaN at all other positions.
    """
    nats = once_per_model(word_nats, model, text).astype(np.float32)
    ranks = np.full(len(text), np.nan, np.float32)
    positions = evenly_spaced(len(text), search_words)
    ranks[positions] = search(model, text, positions, build_trie(model, vocabulary))
    unmeasured = np.full_like(ranks, np.nan)  # nothing is fitted to the vocabulary here
    values = {"rank": ranks, "calibrated_rank": unmeasured, "nats": nats, "raw_nats": nats}
    position_fields = document_and_word(vocabulary, text)
    if vocabulary.corpus.lexicon[-1] != UNK:  # a `<unk>` of the text would be a hit here, and never is for word models
        starts = np.intersect1d(brier_lm.start_positions(position_fields["document"]), positions)
        values["brier_n"] = brier_lm.at_positions(once_per_model(brier_n, model, text, starts), starts, len(text))
    return position_fields | values


def once_per_model(
    compute: Callable[..., np.ndarray], model: SubwordModel, text: Text, *more: np.ndarray
) -> np.ndarray:
    """Return `compute(model, text, *more)`, computed once per process, weights, context, spellings and arguments.

    A model of word pieces is the same at every V, so the cells of a sweep over V share what does not depend on V.
    """
    settings = (compute.__qualname__, weights_digest(model.lm), model.context, model.pieces.begin, model.pieces.end)
    digest = hashlib.sha256(repr(settings).encode())
    for array in (model.pieces.spelled, model.pieces.lengths, text.words, text.starts, *more):
        digest.update(np.ascontiguousarray(array))
    key = digest.hexdigest()
    if key not in KEPT:
        while len(KEPT) >= MOST_KEPT:
            del KEPT[next(iter(KEPT))]
        KEPT[key] = compute(model, text, *more)
    return KEPT[key]


def word_nats(model: SubwordModel, text: Text) -> np.ndarray:
    """Compute −log p(word | words before it in its document), from at least half a context of history. [N] float64

    Raises:
        Diverged: probabilities that are not finite.
    """
    first = model.pieces.first_pieces(text)  # [N]
    last = first + model.pieces.lengths[text.words] - 1
    piece, begin = piece_nats(model, text)
    before = np.concatenate([[0.0], np.cumsum(piece)])  # piece[t] has the nats of piece t + 1
    nats = before[last] - before[first - 1] - begin[first - 1] + begin[last]
    if not np.isfinite(nats).all():
        raise Diverged("probabilities of word pieces that are not finite")
    return nats


def piece_nats(model: SubwordModel, text: Text) -> tuple[np.ndarray, np.ndarray]:
    """Compute, after each piece of the text, the nats of the next piece and of "a word begins". [P] float64 each

    Windows of C pieces advance by C / 2; the later half of each is measured, and all of a document's first window. A
    BOS that differs from EOS is the first input of every window. Both values are 0 at a document's end token, which
    nothing follows.
    """
    line = model.pieces.encode_text(text)
    begins, ends = model.pieces.document_edges(text)  # [D], [D]
    half = model.context // 2
    later = [
        np.arange(start, end - 2 * half, half) + half for start, end in zip(begins.tolist(), ends.tolist(), strict=True)
    ]
    nats, begin = np.zeros(len(line)), np.zeros(len(line))
    initial = initial_pieces(model)
    for starts, kept in ((begins, 2 * half), (np.concatenate(later), half)):
        rows = max(1, CELLS // (kept * model.lm.config.vocab_size))
        for some in (starts[i : i + rows] for i in range(0, len(starts), rows)):
            places = some[:, None] + np.arange(2 * half)  # [R, C]
            last = ends[np.searchsorted(begins, some, side="right") - 1]
            # pieces after a document's end do not change a causal model's earlier outputs
            window = model.pieces.open_windows(line[np.minimum(places, len(line) - 1)])
            with model.evaluating():
                logits = plain_logits(model.lm, torch.from_numpy(window).to(model.device), kept).float()  # [R, kept, S]
                total, initial_total = log_sums(logits, initial)  # [R, kept] each
            places, real = places[:, -kept:], (places < last[:, None])[:, -kept:]
            following = torch.from_numpy(line[np.minimum(places + 1, len(line) - 1)]).to(model.device)
            follows = total - logits.gather(-1, following[..., None])[..., 0]
            word_begins = total - initial_total
            nats[places[real]] = follows.double().cpu().numpy()[real]
            begin[places[real]] = word_begins.double().cpu().numpy()[real]
    return nats, begin
