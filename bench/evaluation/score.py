"""A model's rows of scores -> what quality metrics may read: ranks and nats, a value a position.

Scores are made in blocks of rows that hold a bounded number of cells, so V = 1M scores in bounded memory and no head
knows about blocks. n positions of a block, N positions, F feature columns, V vocabulary size.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.evaluation.calibration import Blocks, Calibration, fit
from bench.models import TruthModel
from bench.spelling import Speller
from bench.text import Text
from bench.vocabulary import Vocabulary

CELLS = 2**20  # of a block of scores: 4 MiB in float32, so that several passes find it in cache
KEPT_CELLS = 2**27  # scores that calibration keeps between its passes; above, it makes them again


@dataclass(frozen=True, eq=False)
class Scored:
    """The test text under one model, [N] each, positions in the order of the text."""

    document: np.ndarray  # int32
    word: np.ndarray  # int32, vocabulary ids
    rank: np.ndarray  # float32, by raw score; inf: a miss; NaN: not measured
    calibrated_rank: np.ndarray
    nats: np.ndarray  # float32, calibrated, the spelling of out-of-vocabulary words priced in
    raw_nats: np.ndarray
    brier: float | None = None  # mean of 2 p(y) - sum of p², under the calibrated distribution
    calibration: Calibration | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """What a model is judged on, the same for all: fitted on validation, measured on test."""

    vocabulary: Vocabulary
    speller: Speller
    validation: Text
    test: Text
    calibration_words: int  # of validation, spread over it
    search_words: int  # of test, spread over it: those that a model of word pieces is ranked on


@singledispatch
def score(model: Any, judged: Judged) -> Scored:
    """Calibrate on validation, then rank and price every test position."""
    device = next(model.parameters()).device if isinstance(model, torch.nn.Module) else torch.device("cpu")
    log_unigram = torch.from_numpy(judged.vocabulary.log_unigram).to(device)
    with torch.inference_mode():
        features = model.features(judged.validation, "validation")
        words = ids(judged.vocabulary, judged.validation, device)
        sample = torch.from_numpy(spread(len(words), judged.calibration_words)).to(device)
        calibration = fit(scores_of(model, features[sample], words[sample], len(log_unigram)), log_unigram)

        test_words = ids(judged.vocabulary, judged.test, device)
        blocks = scores_of(model, model.features(judged.test, "test"), test_words, len(log_unigram), keep=False)
        rows = [measure(*block, calibration, log_unigram, judged.vocabulary.unk) for block in blocks()]
    rank, calibrated_rank, nats, raw_nats, brier = torch.cat(rows, dim=1).cpu().numpy()
    prices = spelling(model, judged, judged.test)
    return Scored(
        **addresses(judged),
        rank=rank,
        calibrated_rank=calibrated_rank,
        nats=nats + prices,
        raw_nats=raw_nats + prices,
        brier=float(brier.astype(np.float64).mean()),
        calibration=calibration,
    )


@singledispatch
def glance(model: Any, judged: Judged) -> dict[str, float]:
    """Quality on the way, quickly: calibrated on the even positions of a validation sample, measured on the odd ones.

    `validation_nats` is open: what lies out of vocabulary is priced by its spelling.
    """
    log_unigram = torch.from_numpy(judged.vocabulary.log_unigram).to(model.device)
    with torch.inference_mode():
        features = model.features(judged.validation, "validation")
        words = ids(judged.vocabulary, judged.validation, model.device)
        chosen = spread(len(words), judged.calibration_words)
        sample = torch.from_numpy(chosen).to(model.device)
        fitted, measured = (
            scores_of(model, features[some], words[some], len(log_unigram)) for some in (sample[::2], sample[1::2])
        )
        calibration = fit(fitted, log_unigram)
        rows = [measure(*block, calibration, log_unigram, judged.vocabulary.unk) for block in measured()]
    rows = torch.cat(rows, dim=1)
    prices = float(spelling(model, judged, judged.validation)[chosen[1::2]].mean())
    return {
        "validation_nats": float(rows[2].double().mean()) + prices,
        "validation_accuracy_at_1": float((rows[0] <= 1).double().mean()),
    }


def spread(length: int, count: int) -> np.ndarray:
    """At most `count` positions, evenly over the text. -> int64"""
    return np.linspace(0, length - 1, min(count, length)).astype(np.int64)


def scores_of(model: Any, features: Tensor, words: Tensor, size: int, *, keep: bool = True) -> Blocks:
    """Rows of scores in blocks of bounded size; kept where they fit, for whoever reads them more than once."""
    rows = max(1, CELLS // size)

    def blocks() -> Iterable[tuple[Tensor, Tensor]]:
        for some, true in zip(features.split(rows), words.split(rows), strict=True):
            yield model.scores(some).float(), true

    if keep and len(words) * size <= KEPT_CELLS:
        kept = list(blocks())
        return lambda: kept
    return blocks


def measure(scores: Tensor, words: Tensor, calibration: Calibration, log_unigram: Tensor, unk: int) -> Tensor:
    """One block: rank, calibrated rank, nats, raw nats, Brier. [n, V], [n] -> [5, n]

    Raises:
        ValueError: scores that are not finite (a NaN would pass for a rank of one half).
    """
    raw_nats = -scores.log_softmax(1).gather(1, words[:, None])[:, 0]
    if not raw_nats.isfinite().all():
        raise ValueError("scores that are not finite")
    logits = calibration.logits(scores, log_unigram)
    ranks = rank(scores, words, unk), rank(logits, words, unk)
    log_p = logits.log_softmax(1)
    nats = -log_p.gather(1, words[:, None])[:, 0]
    brier = 2 * (-nats).exp() - log_p.exp_().square_().sum(1)
    return torch.stack([*ranks, nats, raw_nats, brier])


def rank(scores: Tensor, words: Tensor, unk: int) -> Tensor:
    """1 + words that score higher + half the other ties; `<unk>` never answers, so as a target it is a miss: inf.

    [n, V], [n] -> [n]; a constant head gets the mean rank of the V - 1 candidates.
    """
    true = scores.gather(1, words[:, None])  # [n, 1]
    answer = torch.empty_like(
        scores
    )  # comparisons summed as floats: several times faster than as booleans, exact to 2^24
    higher = torch.gt(scores, true, out=answer).sum(1) - answer[:, unk]
    level = torch.eq(scores, true, out=answer).sum(1) - answer[:, unk]
    return torch.where(words == unk, torch.inf, 1 + higher + (level - 1) / 2)


def ids(vocabulary: Vocabulary, text: Text, device: torch.device | str = "cpu") -> Tensor:
    """Vocabulary ids of a text. [N] int64"""
    return torch.from_numpy(vocabulary.encode(text.words).astype(np.int64)).to(device)


def addresses(judged: Judged) -> dict[str, np.ndarray]:
    """Which document and which word each test position is."""
    lengths = np.diff(judged.test.starts)
    document = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return {"document": document, "word": judged.vocabulary.encode(judged.test.words)}


@singledispatch
def spelling(model: Any, judged: Judged, text: Text) -> np.ndarray:
    """−log p(spelling | `<unk>`) where a word of the text has no id of its own, else 0. [N] float32 nats"""
    lexicon = judged.vocabulary.corpus.lexicon
    hidden = judged.vocabulary.encode(text.words) == judged.vocabulary.unk
    prices = np.zeros(len(hidden), np.float32)
    prices[hidden] = [judged.speller.nats(lexicon[word]) for word in text.words[hidden]]
    return prices


@spelling.register
def _(model: TruthModel, judged: Judged, text: Text) -> np.ndarray:
    """The truth knows its words, and needs no speller."""
    hidden = judged.vocabulary.encode(text.words) == judged.vocabulary.unk
    return np.where(hidden, model.hidden_nats(text), 0).astype(np.float32)
