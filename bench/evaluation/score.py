"""Values per position that quality metrics read: ranks, nats and Brier scores of a closed-vocabulary model.

Scores are computed in blocks of rows with a bounded number of cells, so that scores of 1M words fit in memory; heads
need no code for blocks. n positions of a block, N positions, V vocabulary size.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.data.text import Text
from bench.data.vocabulary import Vocabulary
from bench.evaluation import brier_lm
from bench.evaluation.block_scores import BlockScorer
from bench.evaluation.calibration import Calibration, ScoreBlocks, fit
from bench.evaluation.ranks import RankCounts, RankModel, count_ranks
from bench.evaluation.word_brier import brier_n
from bench.models.language_model import ClosedVocabularyModel
from bench.models.spelling import Speller

CELLS = 2**22  # of a matrix product that gives scores; 16 MiB in float32

KEPT_CELLS = 2**27  # scores that are kept between passes (512 MiB); a larger sample is computed again in each pass


@dataclass(frozen=True, eq=False)
class ScoredText:
    """Test text as scored by one model; [N] each, positions in the order of the text."""

    document: np.ndarray  # int32
    word: np.ndarray  # int32, vocabulary ids
    rank: np.ndarray  # float32, by raw score; inf: the true word is `<unk>` or was not found; NaN: not measured
    calibrated_rank: np.ndarray
    nats: np.ndarray  # float32, calibrated, plus the nats of the spelling of out-of-vocabulary words
    raw_nats: np.ndarray
    rank_nats: np.ndarray | None = None  # under the distribution that depends on ranks only
    brier: np.ndarray | None = None  # 2 p(y) - sum of p² over words except `<unk>`, under the calibrated distribution
    brier_n: np.ndarray | None = None  # [N, 4] estimates of Brier-1 … Brier-4; NaN: not drawn
    calibration: Calibration | None = None


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """Texts that all models are evaluated on: calibrated on validation, measured on test."""

    vocabulary: Vocabulary
    speller: Speller
    validation: Text
    test: Text
    calibration_words: int  # number of evenly spaced validation words
    search_words: int  # number of evenly spaced test words on which a model of word pieces is ranked

    @property
    def calibration_positions(self) -> np.ndarray:
        """Positions in the validation text of the words that models are calibrated on. int64"""
        return evenly_spaced(len(self.validation), self.calibration_words)


class Halves(NamedTuple):
    """Blocks of scores of evenly spaced validation words, in two halves: words 0, 2, 4 … and words 1, 3, 5 …"""

    even: ScoreBlocks
    odd: ScoreBlocks

    def both(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Yield the blocks of the even words and then those of the odd words."""
        return chain(self.even(), self.odd())


def score(model: ClosedVocabularyModel, data: EvaluationData, halves: Halves | None = None) -> ScoredText:
    """Calibrate on validation; return ranks, nats and Brier scores of all test positions.

    Args:
        halves: result of `validation_halves`; computed if None.
    """
    size = len(data.vocabulary)
    with torch.inference_mode():
        halves = halves or validation_halves(model, data)
        scorer = fit_block_scorer(data, halves.both, model.device)
        words = vocabulary_ids(data.vocabulary, data.test, model.device)
        states = model.states(data.test, "test")
        features = model.features(data.test, "test") if states is None else states[0]
        blocks = score_blocks(model, features, words, size)
        *rows, first, second = torch.cat([scorer.measure(*block) for block in blocks()], dim=1)
        position_fields = document_and_word(data.vocabulary, data.test)
        estimates = None  # Brier-n is undefined for a model that cannot read words that it wrote
        if states is not None:
            drawn, rows_at_once = torch.stack([first, second], 1).long(), max(1, CELLS // size)
            document = position_fields["document"]
            estimates = brier_n(model, states, drawn, words, document, scorer, rows_at_once=rows_at_once)
    rank, calibrated_rank, nats, raw_nats, rank_nats, brier_1 = torch.stack(rows).float().cpu().numpy()
    spelling = spelling_nats(model, data, data.test)
    return ScoredText(
        **position_fields,
        rank=rank,
        calibrated_rank=calibrated_rank,
        nats=nats + spelling,
        raw_nats=raw_nats + spelling,
        rank_nats=rank_nats,
        brier=brier_1,
        brier_n=estimates,
        calibration=scorer.calibration,
    )


def validation_nats(model: ClosedVocabularyModel, data: EvaluationData, halves: Halves | None = None) -> float:
    """Calibrate on the even positions of the validation sample, and return the nats per word on the odd positions.

    They include the nats of the spelling of out-of-vocabulary words.

    Args:
        halves: result of `validation_halves`; computed if None.
    """
    with torch.inference_mode():
        halves = halves or validation_halves(model, data)
        scorer = fit_block_scorer(data, halves.even, model.device)
        rows = torch.cat([scorer.measure(*block) for block in halves.odd()], dim=1)
    measured = data.calibration_positions[1::2]
    return float(rows[2].mean()) + float(spelling_nats(model, data, data.validation)[measured].mean())


def fit_block_scorer(data: EvaluationData, blocks: ScoreBlocks, device: torch.device) -> BlockScorer:
    """Fit calibration and rank model on blocks of validation positions."""
    vocabulary = data.vocabulary
    log_unigram = torch.from_numpy(vocabulary.log_unigram).to(device)
    calibration = fit(blocks, log_unigram)
    counts = [count_ranks(scores, words, vocabulary.unk) for scores, words in blocks()]
    rank_model = RankModel(RankCounts(*map(torch.cat, zip(*counts, strict=True))), len(vocabulary))
    generator = torch.Generator(device).manual_seed(brier_lm.SEED)
    return BlockScorer(calibration, rank_model, log_unigram, vocabulary.unk, generator)


def validation_halves(model: ClosedVocabularyModel, data: EvaluationData) -> Halves:
    """Compute the features of the validation text; return blocks of scores of the calibration sample."""
    features = model.features(data.validation, "validation")
    words, size = vocabulary_ids(data.vocabulary, data.validation, model.device), len(data.vocabulary)
    chosen = torch.from_numpy(data.calibration_positions).to(model.device)
    halves = (score_blocks(model, features[at], words[at], size) for at in (chosen[::2], chosen[1::2]))
    return Halves(*(kept(blocks, len(chosen) * size) for blocks in halves))


def evenly_spaced(length: int, count: int) -> np.ndarray:
    """Return at most `count` positions, evenly spaced over a text. -> int64"""
    return np.linspace(0, length - 1, min(count, length)).astype(np.int64)


def score_blocks(model: ClosedVocabularyModel, features: Tensor, words: Tensor, size: int) -> ScoreBlocks:
    """Return a function that yields blocks of scores with their words. [N, …], [N] -> blocks of [n, V], [n]"""
    rows = max(1, CELLS // size)

    def blocks() -> Iterable[tuple[Tensor, Tensor]]:
        for block, true in zip(features.split(rows), words.split(rows), strict=True):
            yield model.scores(block).float(), true

    return blocks


def kept(blocks: ScoreBlocks, cells: int) -> ScoreBlocks:
    """Return a function that yields the blocks from memory, or `blocks` itself if they are too large to keep.

    Args:
        cells: number of scores that would be in memory at the same time; above `KEPT_CELLS` nothing is kept.
    """
    if cells > KEPT_CELLS:
        return blocks
    stored = list(blocks())
    return lambda: stored


def vocabulary_ids(vocabulary: Vocabulary, text: Text, device: torch.device | str = "cpu") -> Tensor:
    """Return vocabulary ids of a text. [N] int64"""
    return torch.from_numpy(vocabulary.encode(text.words).astype(np.int64)).to(device)


def document_and_word(vocabulary: Vocabulary, text: Text) -> dict[str, np.ndarray]:
    """Return the document number and the word id of each position. [N] int32 each"""
    lengths = np.diff(text.starts)
    document = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return {"document": document, "word": vocabulary.encode(text.words)}


def spelling_nats(model: ClosedVocabularyModel, data: EvaluationData, text: Text) -> np.ndarray:
    """Return −log p(spelling | `<unk>`) of words without an id, and 0 of other words. [N] float32

    The nats are those of the byte model of spellings, unless the model itself gives p(word | `<unk>`).
    """
    hidden = data.vocabulary.encode(text.words) == data.vocabulary.unk
    nats = np.zeros(len(hidden), np.float32)
    by_model = model.nats_within_unk(text)
    if by_model is not None:
        nats[hidden] = by_model[hidden]
    else:
        nats[hidden] = data.speller.nats_of(text.words[hidden])
    return nats
