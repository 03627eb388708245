"""A model of word pieces, scored word by word: what each costs, and its exact rank in a vocabulary.

p(word) = Π p(pieces) · P(word-initial | after the word) / P(word-initial | before the word) (Pimentel & Meister,
2024): without the two masses it would price "a word that begins so" and not this word.
N words, D documents, P pieces of the text, S distinct pieces, C context, M searched positions, R of them at a time.
"""

import itertools

import numpy as np
import torch

from bench.data.corpus import Text
from bench.data.vocabulary import Vocabulary
from bench.evaluation import brier_lm
from bench.evaluation.score import evenly_spaced
from bench.evaluation.subword_brier import brier_n
from bench.evaluation.subword_search import search, trie_of
from bench.models.causal_lm import SubwordModel

CELLS = 2**23  # of the largest tensor at a time


def score_words(model: SubwordModel, text: Text, vocabulary: Vocabulary, *, search_words: int) -> dict[str, np.ndarray]:
    """The values a position that a record keeps. [N] each

    Args:
        search_words: how many positions, evenly spread, are ranked: infinite beyond 10. The others' rank is NaN.
    """
    nats = word_nats(model, text).astype(np.float32)
    ranks = np.full(len(text), np.nan, np.float32)
    positions = evenly_spaced(len(text), search_words)
    ranks[positions] = search(model, text, positions, trie_of(model, vocabulary))
    document = np.repeat(np.arange(len(text.starts) - 1, dtype=np.int32), np.diff(text.starts))
    word = vocabulary.encode(text.words)
    unmeasured = np.full_like(ranks, np.nan)  # nothing is fitted to the vocabulary here
    found = {"rank": ranks, "calibrated_rank": unmeasured, "nats": nats, "raw_nats": nats}
    starts = np.intersect1d(brier_lm.start_positions(document), positions)
    found["brier_n"] = brier_lm.at_positions(brier_n(model, text, starts), starts, len(text))
    return {"document": document, "word": word, **found}


def word_nats(model: SubwordModel, text: Text) -> np.ndarray:
    """−log p(word | words before it in its document), from at least half a context of history. [N] float64"""
    first = model.pieces.first_pieces(text)  # [N]
    last = first + model.pieces.lengths[text.words] - 1
    piece, begin = piece_nats(model, text)
    before = np.concatenate([[0.0], np.cumsum(piece)])  # piece[t] prices piece t + 1 of the line
    return before[last] - before[first - 1] - begin[first - 1] + begin[last]


def piece_nats(model: SubwordModel, text: Text) -> tuple[np.ndarray, np.ndarray]:
    """Nats, after each piece of the laid-out text, of the next piece and of "a word begins". [P] float64 each

    Windows of C pieces advance by half of that; only their later half counts, of a document's first window all.
    Nothing follows the last boundary: 0.
    """
    line = model.pieces.encode_text(text)
    bounds = np.flatnonzero(line == model.pieces.boundary)  # [D + 1]
    half = model.context // 2
    later = [np.arange(start, end - 2 * half, half) + half for start, end in itertools.pairwise(bounds)]
    nats, begin = np.zeros(len(line)), np.zeros(len(line))
    initial = torch.from_numpy(model.pieces.initial).to(model.device)
    for starts, kept in ((bounds[:-1], 2 * half), (np.concatenate(later), half)):
        rows = max(1, CELLS // (kept * model.lm.config.vocab_size))
        for some in (starts[i : i + rows] for i in range(0, len(starts), rows)):
            places = some[:, None] + np.arange(2 * half)  # [R, C]
            ends = bounds[np.searchsorted(bounds, some, side="right")]
            known = line[np.minimum(places, len(line) - 1)]  # past a document's end: what causality never shows
            with model.evaluating():
                pieces = torch.from_numpy(known).to(model.device)
                logits = model.lm(pieces, use_cache=False, logits_to_keep=kept).logits.float()  # [R, kept, S]
                total = logits.logsumexp(-1)
                begins = total - logits[..., initial].logsumexp(-1)
            places, real = places[:, -kept:], (places < ends[:, None])[:, -kept:]
            following = torch.from_numpy(line[np.minimum(places + 1, len(line) - 1)]).to(model.device)
            follows = total - logits.gather(-1, following[..., None])[..., 0]
            nats[places[real]] = follows.double().cpu().numpy()[real]
            begin[places[real]] = begins.double().cpu().numpy()[real]
    return nats, begin
