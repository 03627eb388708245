"""Validation during training against plain arithmetic on its positions."""

import numpy as np
import pytest
import torch
from factories.models import CORPUS, tiny_model, word_model
from factories.references import naive_rank

from bench.core.errors import Diverged
from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import fit
from bench.evaluation.score import EvaluationData
from bench.evaluation.subword_evaluator import SubwordEvaluator
from bench.evaluation.subword_nats import word_nats
from bench.evaluation.validation import (
    HISTORY,
    MEASURED,
    SEGMENTS,
    measured_part,
    segment_positions,
    validate,
)
from bench.models.spelling import Speller


@pytest.mark.parametrize("length", [10, 47, 48, 49, 64, 300, 1535, 10_000])
def test_segments_cover_a_text_evenly_and_measure_no_position_twice(length):
    segments = segment_positions(length)
    assert segments.shape[1] == min(length, HISTORY + MEASURED) and len(segments) <= SEGMENTS
    assert (np.diff(segments) == 1).all() and segments.min() == 0
    assert segments.max() == length - 1 or len(segments) == 1
    positions = measured_part(segments).flatten()
    assert len(np.unique(positions)) == len(positions) >= 2
    if length >= 10_000:
        assert len(positions) == SEGMENTS * MEASURED
        assert (measured_part(segments)[:, 0] - segments[:, 0] == HISTORY).all()


def test_validation_measures_words_that_calibration_did_not_see(evaluation_data, vocabulary):
    model, text = word_model(vocabulary), evaluation_data.validation
    segments = segment_positions(len(text))
    with torch.no_grad():
        before = np.concatenate([[len(vocabulary)], vocabulary.encode(text.words)[:-1]])
        before[text.starts[:-1]] = len(vocabulary)
        hidden = measured_part(model.backbone(torch.from_numpy(before[segments]))[0]).flatten(0, 1)
        scores = model.head.scores(hidden)
    positions = measured_part(segments).flatten()
    words = torch.from_numpy(vocabulary.encode(text.words[positions]).astype(np.int64))
    log_unigram = torch.from_numpy(vocabulary.log_unigram)
    calibration = fit(lambda: [(scores[::2], words[::2])], log_unigram)
    scores, words, positions = scores[1::2], words[1::2], positions[1::2]
    nats = torch.nn.functional.cross_entropy(calibration.logits(scores, log_unigram).double(), words)
    true_words = vocabulary.corpus.words_of(text.words[positions])
    prices = [0.0 if word in vocabulary.words else evaluation_data.speller.nats(word) for word in true_words]
    hits = [naive_rank(row, int(word), vocabulary.unk) <= 1 for row, word in zip(scores.tolist(), words, strict=True)]
    figures = validate(model, evaluation_data)
    assert figures["validation_nats"] == pytest.approx(float(nats) + np.mean(prices), rel=1e-5)
    assert figures["validation_accuracy_at_1"] == pytest.approx(np.mean(hits), abs=1e-12)


def test_validation_raises_when_scores_are_not_finite(evaluation_data, vocabulary):
    model = word_model(vocabulary)
    with torch.no_grad():
        model.head.words.weight[3] = torch.nan
    with pytest.raises(Diverged, match="scores that are not finite"):
        validate(model, evaluation_data)


def test_subword_validation_reads_each_segment_as_a_document():
    vocabulary = Vocabulary(CORPUS, 50)
    limits = {"calibration_words": 10, "search_words": 1}
    model, validation = tiny_model(context=24, pretrained=None), CORPUS.validation
    data = EvaluationData(vocabulary, Speller(vocabulary), validation, CORPUS.test, **limits)
    figures = SubwordEvaluator(model).validate(data)
    rows = [word_nats(model, concatenate([validation.words[row]])) for row in segment_positions(len(validation))]
    expected = measured_part(np.stack(rows)).flatten()[1::2].mean()
    assert figures == {"validation_nats": pytest.approx(expected, rel=1e-5)}
