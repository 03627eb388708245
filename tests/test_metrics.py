"""Figures by hand on tiny arrays, and against scikit-learn and torchmetrics."""

import json
from math import e, inf, log, nan

import numpy as np
import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score
from torchmetrics.text import Perplexity

from bench.evaluation.calibration import Calibration
from bench.evaluation.metrics import by_decile, perplexity, quality, ranking
from bench.evaluation.score import Judged, Scored, score
from bench.record import Record
from bench.spelling import Speller
from bench.text import build, lay
from bench.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def letters() -> Vocabulary:
    """Ids: <unk> 0, a 1, né 2."""
    train = ["a"] * 4 + ["né"] * 3 + ["c"] * 3 + ["d"] * 2
    return Vocabulary(build("letters", {"train": [train], "validation": [["a"]], "test": [["a"]]}), 3)


def scored(word: list[int], rank: list[float], nats: list[float], **more) -> Scored:
    """With calibrated ranks of 1 and raw nats twice the nats."""
    values = {"rank": np.float32(rank), "nats": np.float32(nats), "raw_nats": 2 * np.float32(nats)}
    ones = np.where(np.isnan(rank), nan, 1).astype(np.float32)
    zeros = np.zeros(len(word), np.int32)
    return Scored(document=zeros, word=np.int32(word), calibrated_rank=ones, **values, **more)


def test_ranking_by_hand():
    found = ranking(np.array([1, 1.5, 5, 10, 10.5, inf, 2, 11], np.float32))
    assert found == {
        "accuracy_at_1": 1 / 8,
        "accuracy_at_5": 4 / 8,
        "accuracy_at_10": 5 / 8,
        "mrr_at_10": pytest.approx((1 + 2 / 3 + 1 / 5 + 1 / 10 + 1 / 2) / 8, abs=1e-7),
    }


def test_quality_by_hand(letters):
    test = lay([np.array([0, 1, 2, 0])])  # a, né, c (out of vocabulary), a
    found = quality(scored([1, 2, 0, 1], [1, 3, inf, 12], [log(2), log(4), log(32), log(2)], brier=0.25), letters, test)
    assert found["coverage"] == 0.75
    assert found["test_words"] == found["ranked_words"] == 4
    assert found["test_bytes"] == (1 + 3 + 1 + 1) + 4
    assert (found["accuracy_at_1"], found["accuracy_at_5"], found["accuracy_at_10"]) == (0.25, 0.5, 0.5)
    assert found["mrr_at_10"] == pytest.approx((1 + 1 / 3) / 4, abs=1e-7)
    assert found["calibrated_accuracy_at_1"] == found["calibrated_mrr_at_10"] == 1
    assert found["bits_per_byte"] == pytest.approx((1 + 2 + 5 + 1) / 10, abs=1e-6)
    assert found["word_perplexity"] == pytest.approx(2 ** (9 / 4), rel=1e-6)
    assert found["closed_perplexity"] == pytest.approx(2 ** (4 / 3), rel=1e-6)
    assert found["raw_closed_perplexity"] == pytest.approx(2 ** (8 / 3), rel=1e-6)
    assert found["brier"] == 0.25
    assert found["calibration_scale"] is found["calibration_prior"] is None


def test_quality_names_fields_of_a_record(letters):
    calibration = Calibration(0.0, 1.0)
    found = quality(scored([1], [1], [1.0], calibration=calibration), letters, lay([np.array([0])]))
    assert (found["calibration_scale"], found["calibration_prior"]) == (0.0, 1.0)
    assert found.keys() <= Record.__dataclass_fields__.keys()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_ranks_that_were_not_measured_do_not_count(letters):
    found = quality(scored([1, 2, 1], [1, nan, 2], [1, 1, 4]), letters, lay([np.array([0, 1, 0])]))
    assert (found["ranked_words"], found["accuracy_at_1"]) == (2, 0.5)
    assert found["calibrated_accuracy_at_1"] == 1
    assert found["word_perplexity"] == pytest.approx(e**2)
    assert found["accuracy_by_decile"] == [0.5, 0.5]


def test_perplexities_that_no_record_can_hold_are_none(letters):
    assert perplexity(np.array([])) is None
    assert perplexity(np.array([709.0])) == pytest.approx(np.exp(709.0))
    assert perplexity(np.array([710.0])) is None
    found = quality(scored([1, 0], [9, inf], [400, 2]), letters, lay([np.array([0, 2])]))
    assert found["raw_closed_perplexity"] is None
    assert found["closed_perplexity"] == pytest.approx(np.exp(400.0), rel=1e-4)


def test_deciles_are_equal_shares_from_the_most_frequent_word_on():
    words = np.random.default_rng(0).permutation(np.arange(20))
    assert by_decile(words < 3, words) == [1.0, 0.5] + [0.0] * 8


def test_a_word_heavier_than_a_share_spreads_its_hits():
    words = np.array([0] * 10 + [1] * 5 + [2] * 5)
    hit = np.array([True] * 4 + [False] * 6 + [True] * 5 + [False] * 5)
    expected = [0.4] * 5 + [1.0, 1.0, 0.5, 0.0, 0.0]
    assert by_decile(hit, words) == pytest.approx(expected)
    order = np.random.default_rng(0).permutation(20)
    assert by_decile(hit[order], words[order]) == pytest.approx(expected)


class Rows:
    """A model of fixed scores."""

    def __init__(self, **tables: torch.Tensor):
        self.tables = tables

    def features(self, text, split: str) -> torch.Tensor:
        return self.tables[split]

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        return features


@pytest.fixture(scope="module")
def measured(corpus, vocabulary):
    """Scores that know something of the test words, what was scored, and the test split."""
    generator = torch.Generator().manual_seed(0)
    tables = {}
    for split in ("validation", "test"):
        words = torch.from_numpy(vocabulary.encode(getattr(corpus, split).words).astype(np.int64))
        tables[split] = torch.randn(len(words), len(vocabulary), generator=generator)
        tables[split][torch.arange(len(words)), words] += 2
    judged = Judged(vocabulary, Speller(vocabulary), corpus.validation, corpus.test, 500, 50)
    found = score(Rows(**tables), judged)
    return tables["test"], found, quality(found, vocabulary, corpus.test)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_accuracies_are_those_of_scikit_learn(measured, vocabulary, k):
    scores, found, figures = measured
    known = found.word != vocabulary.unk
    answers = scores.clone()
    answers[:, vocabulary.unk] = scores.min() - 1
    hits = top_k_accuracy_score(
        found.word[known], answers[known], k=k, labels=np.arange(len(vocabulary)), normalize=False
    )
    assert figures[f"accuracy_at_{k}"] == hits / len(known)
    logits = found.calibration.logits(scores, torch.from_numpy(vocabulary.log_unigram))
    logits[:, vocabulary.unk] = logits.min() - 1
    hits = top_k_accuracy_score(
        found.word[known], logits[known], k=k, labels=np.arange(len(vocabulary)), normalize=False
    )
    assert figures[f"calibrated_accuracy_at_{k}"] == hits / len(known)


def test_reciprocal_ranks_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    scores, words = random.normal(size=(300, 11)), random.integers(1, 11, 300)  # ten candidates and <unk>: id 0
    ranks = 1 + (scores[:, 1:] > scores[np.arange(300), words][:, None]).sum(1)
    expected = label_ranking_average_precision_score(np.eye(11)[words][:, 1:], scores[:, 1:])
    assert ranking(ranks)["mrr_at_10"] == pytest.approx(expected, abs=1e-12)


def test_closed_perplexities_are_those_of_torchmetrics(measured, vocabulary):
    scores, found, figures = measured
    words = torch.from_numpy(found.word.astype(np.int64))
    logits = found.calibration.logits(scores, torch.from_numpy(vocabulary.log_unigram))
    for name, rows in {"closed_perplexity": logits, "raw_closed_perplexity": scores}.items():
        expected = Perplexity(ignore_index=vocabulary.unk)(rows[None], words[None])
        assert figures[name] == pytest.approx(float(expected), rel=1e-5)
