"""Figures by hand on tiny arrays, and against scikit-learn and torchmetrics."""

import json
from math import e, inf, log, nan

import numpy as np
import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score
from torchmetrics.text import Perplexity

from bench.core.record import Record
from bench.data.corpus import build_corpus, concatenate
from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import Calibration
from bench.evaluation.metrics import by_decile, finite, quality, sums
from bench.evaluation.ranks import count_ranks
from bench.evaluation.score import EvaluationData, ScoredText, score
from bench.models.language_model import ClosedVocabularyModel
from bench.models.spelling import Speller


@pytest.fixture(scope="module")
def letters() -> Vocabulary:
    """Ids: <unk> 0, a 1, né 2."""
    train = ["a"] * 4 + ["né"] * 3 + ["c"] * 3 + ["d"] * 2
    return Vocabulary(build_corpus("letters", {"train": [train], "validation": [["a"]], "test": [["a"]]}), 3)


def scored(word: list[int], rank: list[float], nats: list[float], **more) -> ScoredText:
    """With calibrated ranks of 1 and raw nats twice the nats."""
    values = {"rank": np.float32(rank), "nats": np.float32(nats), "raw_nats": 2 * np.float32(nats)}
    ones = np.where(np.isnan(rank), nan, 1).astype(np.float32)
    zeros = np.zeros(len(word), np.int32)
    return ScoredText(document=zeros, word=np.int32(word), calibrated_rank=ones, **values, **more)


def test_ranks_by_hand(letters):
    ranks = [1, 1.5, 5, 10, 10.5, inf, 2, 11]
    found = quality(scored([1] * 8, ranks, [1.0] * 8), letters, concatenate([np.zeros(8)]), search_words=8)
    accuracies = [found[f"accuracy_at_{k}"] for k in (1, 5, 10)]
    assert accuracies == [1 / 8, 4 / 8, 5 / 8]  # a tie for the first place is no hit
    assert found["mrr_at_10"] == pytest.approx((1 + 2 / 3 + 1 / 5 + 1 / 10 + 1 / 2) / 8, abs=1e-7)


def test_sums_a_document_add_up_to_the_figures(letters):
    """Two documents, and a subset of positions for pairing."""
    test = concatenate([np.array([0, 1, 2]), np.array([0, 1])])  # a c né | a c
    values = scored([1, 2, 0, 1, 2], [1, nan, inf, nan, 3], [1.0, 2.0, 4.0, 8.0, 16.0])
    values.document[3:] = 1
    found = {name: each.tolist() for name, each in sums(values, letters, test, 3).items()}
    assert found["words"] == [3, 2] and found["known"] == [2, 2] and found["bytes"] == [2 + 2 + 4, 2 + 2]
    assert found["nats"] == [7, 24] and found["known_nats"] == [3, 24] and found["raw_known_nats"] == [6, 48]
    assert found["ranked"] == found["searched"] == [2, 1]  # positions 0, 2 and 4
    assert found["hits_at_1"] == found["searched_hits_at_1"] == [1, 0]
    assert found["hits_at_5"] == [1, 1] and found["reciprocals_at_10"] == pytest.approx([1, 1 / 3])
    assert found["calibrated_hits_at_1"] == [2, 1]
    assert {"rank_nats", "brier", "drawn"}.isdisjoint(found)  # not measured here
    assert quality(values, letters, test, search_words=3)["blocks"]["nats"] == [7, 24]


def test_many_documents_share_blocks(letters):
    documents = 1000
    test = concatenate([np.array([0])] * documents)
    values = scored([1] * documents, [1] * documents, [1.0] * documents)
    values.document[:] = np.arange(documents)
    words = sums(values, letters, test, 10)["words"]
    assert len(words) == 256 and words.sum() == documents and words.max() - words.min() <= 1


def test_quality_by_hand(letters):
    test = concatenate([np.array([0, 1, 2, 0])])  # a, né, c (out of vocabulary), a
    factors = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [nan] * 4, [nan] * 4])
    proxies = {"rank_nats": np.log([2.0, 2, 9, 8]), "brier": np.float32([1, 0, 0, 0]), "brier_n": factors}
    values = scored([1, 2, 0, 1], [1, 3, inf, 12], [log(2), log(4), log(32), log(2)], **proxies)
    found = quality(values, letters, test, search_words=4)
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
    assert found["rank_perplexity"] == pytest.approx(2 ** (5 / 3))
    assert found["brier"] == 0.25
    assert found["brier_n"] == [1, 0.5, 0.5, 0.5] and found["brier_lm"] == pytest.approx(100 * 0.125**0.25)
    assert found["calibration_scale"] is found["calibration_prior"] is None


def test_quality_names_fields_of_a_record(letters):
    calibration = Calibration(0.0, 1.0)
    found = quality(
        scored([1], [1], [1.0], calibration=calibration), letters, concatenate([np.array([0])]), search_words=1
    )
    assert (found["calibration_scale"], found["calibration_prior"]) == (0.0, 1.0)
    assert found.keys() <= Record.__dataclass_fields__.keys()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_ranks_that_were_not_measured_do_not_count(letters):
    found = quality(
        scored([1, 2, 1], [1, nan, 2], [1, 1, 4]), letters, concatenate([np.array([0, 1, 0])]), search_words=2
    )
    assert (found["ranked_words"], found["accuracy_at_1"]) == (2, 0.5)
    assert found["calibrated_accuracy_at_1"] == 1
    assert found["word_perplexity"] == pytest.approx(e**2)
    assert found["accuracy_by_decile"] == [0.5, 0.5]


def test_figures_that_no_record_can_hold_are_none(letters):
    assert finite(np.float64(nan)) is None and finite(np.float64(inf)) is None and finite(np.float64(2)) == 2.0
    test = concatenate([np.array([0, 2])])
    found = quality(scored([1, 0], [9, inf], [400, 2]), letters, test, search_words=1)
    assert found["raw_closed_perplexity"] is None
    assert found["closed_perplexity"] == pytest.approx(np.exp(400.0), rel=1e-4)


def test_a_factor_that_is_not_positive_leaves_brier_lm_undefined(letters):
    test, factors = concatenate([np.array([0, 0])]), np.array([[1, 1, 1, 0], [1, 1, 1, -1.0]])
    values = scored([1, 1], [1, 1], [1, 1], rank_nats=np.ones(2), brier=np.ones(2), brier_n=factors)
    found = quality(values, letters, test, search_words=1)
    assert found["brier_lm"] is None and found["brier_n"] == [1, 1, 1, -0.5]


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


class Rows(ClosedVocabularyModel):
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
    evaluation_data = EvaluationData(vocabulary, Speller(vocabulary), corpus.validation, corpus.test, 500, 50)
    found = score(Rows(**tables), evaluation_data)
    return tables["test"], found, quality(found, vocabulary, corpus.test, search_words=50)


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
    ranks = count_ranks(torch.from_numpy(scores), torch.from_numpy(words), 0).rank.numpy()
    expected = label_ranking_average_precision_score(np.eye(11)[words][:, 1:], scores[:, 1:])
    assert np.where(ranks <= 10, 1 / ranks, 0).mean() == pytest.approx(expected, abs=1e-12)


def test_closed_perplexities_are_those_of_torchmetrics(measured, vocabulary):
    scores, found, figures = measured
    words = torch.from_numpy(found.word.astype(np.int64))
    logits = found.calibration.logits(scores, torch.from_numpy(vocabulary.log_unigram))
    for name, rows in {"closed_perplexity": logits, "raw_closed_perplexity": scores}.items():
        expected = Perplexity(ignore_index=vocabulary.unk)(rows[None], words[None])
        assert figures[name] == pytest.approx(float(expected), rel=1e-5)
