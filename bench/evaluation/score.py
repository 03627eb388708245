"""A model's rows of scores -> what quality metrics may read: ranks, nats and Brier scores, a value a position.

Scores are made in blocks of rows that hold a bounded number of cells, so V = 1M scores in bounded memory and no head
knows about blocks. n positions of a block, N positions, F feature columns, V vocabulary size.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.corpus import Text
from bench.data.vocabulary import Vocabulary
from bench.evaluation import brier_lm
from bench.evaluation.block_scores import BlockScorer
from bench.evaluation.calibration import Blocks, Calibration, fit
from bench.evaluation.ranks import RankCounts, RankModel, count_ranks
from bench.models.spelling import Speller
from bench.models.truth_model import TruthModel

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
    rank_nats: np.ndarray | None = None  # of a distribution that knows ranks alone
    brier: np.ndarray | None = None  # 2 p(y) - sum of p² over real words, under the calibrated distribution
    brier_n: np.ndarray | None = None  # [N, 4] estimates of Brier-1 … Brier-4; NaN: not drawn
    calibration: Calibration | None = None


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """What a model is judged on, the same for all: fitted on validation, measured on test."""

    vocabulary: Vocabulary
    speller: Speller
    validation: Text
    test: Text
    calibration_words: int  # of validation, spread over it
    search_words: int  # of test, spread over it: those that a model of word pieces is ranked on


@singledispatch
def score(model: Any, judged: EvaluationData) -> Scored:
    """Calibrate on validation, then rank and price every test position."""
    with torch.inference_mode():
        sample = spread(len(judged.validation), judged.calibration_words)
        ruler = fitted(judged, validation(model, judged)(sample), device_of(model))
        words, size = ids(judged.vocabulary, judged.test, device_of(model)), len(judged.vocabulary)
        blocks = scores_of(model, model.features(judged.test, "test"), words, size, keep=False)
        *rows, first, second = torch.cat([ruler.measure(*block) for block in blocks()], dim=1)
        drawn = torch.stack([first, second], 1).long()  # [N, 2]
        address = addresses(judged)
        brier_n = estimates(model, judged, ruler, drawn, words, address["document"])
    rank, calibrated_rank, nats, raw_nats, rank_nats, brier_1 = torch.stack(rows).float().cpu().numpy()
    prices = spelling(model, judged, judged.test)
    return Scored(
        **address,
        rank=rank,
        calibrated_rank=calibrated_rank,
        nats=nats + prices,
        raw_nats=raw_nats + prices,
        rank_nats=rank_nats,
        brier=brier_1,
        brier_n=brier_n,
        calibration=ruler.calibration,
    )


@singledispatch
def validation_quality(model: Any, judged: EvaluationData) -> dict[str, float]:
    """Quality on the way, quickly: calibrated on the even positions of a validation sample, measured on the odd ones.

    `validation_nats` is open: what lies out of vocabulary is priced by its spelling.
    """
    chosen = spread(len(judged.validation), judged.calibration_words)
    fit_on, measured = chosen[::2], chosen[1::2]
    with torch.inference_mode():
        at = validation(model, judged)
        ruler = fitted(judged, at(fit_on), device_of(model))
        rows = torch.cat([ruler.measure(*block) for block in at(measured)()], dim=1)
    prices = float(spelling(model, judged, judged.validation)[measured].mean())
    return {
        "validation_nats": float(rows[2].mean()) + prices,
        "validation_accuracy_at_1": float((rows[0] <= 1).double().mean()),
    }


def fitted(judged: EvaluationData, blocks: Blocks, device: torch.device) -> BlockScorer:
    """What some positions of validation can tell of a model: temperature, prior, worth of each rank."""
    vocabulary = judged.vocabulary
    log_unigram = torch.from_numpy(vocabulary.log_unigram).to(device)
    calibration = fit(blocks, log_unigram)
    standings = [count_ranks(scores, words, vocabulary.unk) for scores, words in blocks()]
    ranks = RankModel(RankCounts(*map(torch.cat, zip(*standings, strict=True))), len(vocabulary))
    return BlockScorer(
        calibration, ranks, log_unigram, vocabulary.unk, torch.Generator(device).manual_seed(brier_lm.SEED)
    )


def validation(model: Any, judged: EvaluationData) -> Callable[[np.ndarray], Blocks]:
    """Positions of the validation text -> their scores; the text is read once."""
    device = device_of(model)
    features = model.features(judged.validation, "validation")
    words = ids(judged.vocabulary, judged.validation, device)

    def at(positions: np.ndarray) -> Blocks:
        some = torch.from_numpy(positions).to(device)
        return scores_of(model, features[some], words[some], len(judged.vocabulary))

    return at


def estimates(
    model: Any, judged: EvaluationData, ruler: BlockScorer, first: Tensor, words: Tensor, document: np.ndarray
) -> np.ndarray | None:
    """Brier-1 … Brier-4 by two draws of four words, wherever four more stand in the document. [N, 4], NaN elsewhere

    None where a model cannot go on from its own words.
    """
    states = model.states(judged.test, "test") if hasattr(model, "states") else None
    if states is None:
        return None
    starts = brier_lm.starts(document)
    at = torch.from_numpy(starts).to(words.device)
    true = torch.stack([words[at + n] for n in range(brier_lm.WORDS)], 1)  # [M, 4]
    rows = max(1, CELLS // len(judged.vocabulary))

    def draw(states: Any) -> Tensor:
        return torch.cat([ruler.draw(model.scores(some).float()) for some in states[0].split(rows)])

    here = brier_lm.rows_of(states, at)
    one, other = brier_lm.follow(here, first[at], true, ruler.unk, model.proceed, draw).cpu().numpy().swapaxes(0, 1)
    truth = true.cpu().numpy()
    found = brier_lm.agreement(*(brier_lm.shared(*pair) for pair in ((one, truth), (other, truth), (one, other))))
    return brier_lm.placed(found, starts, len(document))


def device_of(model: Any) -> torch.device:
    """Where a model's features lie; counts have no other place than the CPU."""
    return next(model.parameters()).device if isinstance(model, torch.nn.Module) else torch.device("cpu")


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


def ids(vocabulary: Vocabulary, text: Text, device: torch.device | str = "cpu") -> Tensor:
    """Vocabulary ids of a text. [N] int64"""
    return torch.from_numpy(vocabulary.encode(text.words).astype(np.int64)).to(device)


def addresses(judged: EvaluationData) -> dict[str, np.ndarray]:
    """Which document and which word each test position is."""
    lengths = np.diff(judged.test.starts)
    document = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return {"document": document, "word": judged.vocabulary.encode(judged.test.words)}


@singledispatch
def spelling(model: Any, judged: EvaluationData, text: Text) -> np.ndarray:
    """−log p(spelling | `<unk>`) where a word of the text has no id of its own, else 0. [N] float32 nats"""
    lexicon = judged.vocabulary.corpus.lexicon
    hidden = judged.vocabulary.encode(text.words) == judged.vocabulary.unk
    prices = np.zeros(len(hidden), np.float32)
    prices[hidden] = [judged.speller.nats(lexicon[word]) for word in text.words[hidden]]
    return prices


@spelling.register
def _(model: TruthModel, judged: EvaluationData, text: Text) -> np.ndarray:
    """The truth knows its words, and needs no speller."""
    hidden = judged.vocabulary.encode(text.words) == judged.vocabulary.unk
    return np.where(hidden, model.hidden_nats(text), 0).astype(np.float32)
