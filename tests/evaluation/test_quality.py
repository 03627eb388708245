"""Quality metrics of records: by hand on small arrays, and against scikit-learn and torchmetrics."""

import json
from math import e, inf, log, nan

import numpy as np
import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score
from torchmetrics.text import Perplexity

from bench.core.record import Record
from bench.data.corpus import build_corpus
from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import Calibration
from bench.evaluation.quality import by_decile, finite, quality, sums
from bench.evaluation.ranks import count_ranks
from bench.evaluation.score import EvaluationData, ScoredText, score
from bench.models.language_model import ClosedVocabularyModel
from bench.models.spelling import Speller


@pytest.fixture(scope="module")
def letters() -> Vocabulary:
    """Vocabulary with the ids <unk> 0, a 1, né 2."""
    train = ["a"] * 4 + ["né"] * 3 + ["c"] * 3 + ["d"] * 2
    return Vocabulary(build_corpus("letters", {"train": [train], "validation": [["a"]], "test": [["a"]]}), 3)


def scored(word: list[int], rank: list[float], nats: list[float], **more) -> ScoredText:
    """Return scores of one document, with calibrated ranks of 1 and raw nats twice the nats."""
    values = {"rank": np.float32(rank), "nats": np.float32(nats), "raw_nats": 2 * np.float32(nats)}
    ones = np.where(np.isnan(rank), nan, 1).astype(np.float32)
    zeros = np.zeros(len(word), np.int32)
    return ScoredText(document=zeros, word=np.int32(word), calibrated_rank=ones, **values, **more)


def test_accuracies_and_mrr_equal_hand_computed(letters):
    ranks = [1, 1.5, 5, 10, 10.5, inf, 2, 11]
    figures = quality(scored([1] * 8, ranks, [1.0] * 8), letters, concatenate([np.zeros(8)]), search_words=8)
    accuracies = [figures[f"accuracy_at_{k}"] for k in (1, 5, 10)]
    assert accuracies == [1 / 8, 4 / 8, 5 / 8]  # rank 1.5, a tie, is not a hit at 1
    assert figures["mrr_at_10"] == pytest.approx((1 + 2 / 3 + 1 / 5 + 1 / 10 + 1 / 2) / 8, abs=1e-7)


def test_sums_per_document_equal_hand_computed(letters):
    """Two documents, with a subset of positions for pairing."""
    test = concatenate([np.array([0, 1, 2]), np.array([0, 1])])  # a c né | a c
    values = scored([1, 2, 0, 1, 2], [1, nan, inf, nan, 3], [1.0, 2.0, 4.0, 8.0, 16.0])
    values.document[3:] = 1
    figures = {name: per_document.tolist() for name, per_document in sums(values, letters, test, 3).items()}
    assert figures["words"] == [3, 2] and figures["known"] == [2, 2] and figures["bytes"] == [2 + 2 + 4, 2 + 2]
    assert figures["nats"] == [7, 24] and figures["known_nats"] == [3, 24] and figures["raw_known_nats"] == [6, 48]
    assert figures["ranked"] == figures["searched"] == [2, 1]  # positions 0, 2 and 4
    assert figures["hits_at_1"] == figures["searched_hits_at_1"] == [1, 0]
    assert figures["hits_at_5"] == [1, 1] and figures["reciprocals_at_10"] == pytest.approx([1, 1 / 3])
    assert figures["calibrated_hits_at_1"] == [2, 1]
    assert {"rank_nats", "brier", "drawn"}.isdisjoint(figures)  # not measured by this model
    assert quality(values, letters, test, search_words=3)["blocks"]["nats"] == [7, 24]


def test_documents_share_blocks_when_there_are_more_than_256(letters):
    documents = 1000
    test = concatenate([np.array([0])] * documents)
    values = scored([1] * documents, [1] * documents, [1.0] * documents)
    values.document[:] = np.arange(documents)
    words = sums(values, letters, test, 10)["words"]
    assert len(words) == 256 and words.sum() == documents and words.max() - words.min() <= 1


def test_quality_equals_hand_computed(letters):
    test = concatenate([np.array([0, 1, 2, 0])])  # a, né, c (out of vocabulary), a
    factors = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [nan] * 4, [nan] * 4])
    proxies = {"rank_nats": np.log([2.0, 2, 9, 8]), "brier": np.float32([1, 0, 0, 0]), "brier_n": factors}
    values = scored([1, 2, 0, 1], [1, 3, inf, 12], [log(2), log(4), log(32), log(2)], **proxies)
    figures = quality(values, letters, test, search_words=4)
    assert figures["coverage"] == 0.75
    assert figures["test_words"] == figures["ranked_words"] == 4
    assert figures["test_bytes"] == (1 + 3 + 1 + 1) + 4
    assert (figures["accuracy_at_1"], figures["accuracy_at_5"], figures["accuracy_at_10"]) == (0.25, 0.5, 0.5)
    assert figures["mrr_at_10"] == pytest.approx((1 + 1 / 3) / 4, abs=1e-7)
    assert figures["calibrated_accuracy_at_1"] == figures["calibrated_mrr_at_10"] == 1
    assert figures["bits_per_byte"] == pytest.approx((1 + 2 + 5 + 1) / 10, abs=1e-6)
    assert figures["word_perplexity"] == pytest.approx(2 ** (9 / 4), rel=1e-6)
    assert figures["closed_perplexity"] == pytest.approx(2 ** (4 / 3), rel=1e-6)
    assert figures["raw_closed_perplexity"] == pytest.approx(2 ** (8 / 3), rel=1e-6)
    assert figures["rank_perplexity"] == pytest.approx(2 ** (5 / 3))
    assert figures["brier"] == 0.25
    assert figures["brier_n"] == [1, 0.5, 0.5, 0.5] and figures["brier_lm"] == pytest.approx(100 * 0.125**0.25)
    assert figures["calibration_scale"] is figures["calibration_prior"] is None


def test_quality_fields_are_record_fields_and_valid_json(letters):
    calibration = Calibration(0.0, 1.0)
    figures = quality(
        scored([1], [1], [1.0], calibration=calibration), letters, concatenate([np.array([0])]), search_words=1
    )
    assert (figures["calibration_scale"], figures["calibration_prior"]) == (0.0, 1.0)
    assert figures.keys() <= Record.__dataclass_fields__.keys()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_accuracy_leaves_out_positions_without_a_rank(letters):
    figures = quality(
        scored([1, 2, 1], [1, nan, 2], [1, 1, 4]), letters, concatenate([np.array([0, 1, 0])]), search_words=2
    )
    assert (figures["ranked_words"], figures["accuracy_at_1"]) == (2, 0.5)
    assert figures["calibrated_accuracy_at_1"] == 1
    assert figures["word_perplexity"] == pytest.approx(e**2)
    assert figures["accuracy_by_decile"] == [0.5, 0.5]


def test_quality_is_none_when_figure_is_undefined_or_infinite(letters):
    assert finite(np.float64(nan)) is None and finite(np.float64(inf)) is None and finite(np.float64(2)) == 2.0
    test = concatenate([np.array([0, 2])])
    figures = quality(scored([1, 0], [9, inf], [400, 2]), letters, test, search_words=1)
    assert figures["raw_closed_perplexity"] is None
    assert figures["closed_perplexity"] == pytest.approx(np.exp(400.0), rel=1e-4)


def test_brier_lm_is_none_when_a_factor_is_not_positive(letters):
    test, factors = concatenate([np.array([0, 0])]), np.array([[1, 1, 1, 0], [1, 1, 1, -1.0]])
    values = scored([1, 1], [1, 1], [1, 1], rank_nats=np.ones(2), brier=np.ones(2), brier_n=factors)
    figures = quality(values, letters, test, search_words=1)
    assert figures["brier_lm"] is None and figures["brier_n"] == [1, 1, 1, -0.5]


def test_deciles_are_equal_shares_in_order_of_frequency():
    words = np.random.default_rng(0).permutation(np.arange(20))
    assert by_decile(words < 3, words) == [1.0, 0.5] + [0.0] * 8


def test_hits_are_spread_when_a_word_fills_several_deciles():
    words = np.array([0] * 10 + [1] * 5 + [2] * 5)
    hit = np.array([True] * 4 + [False] * 6 + [True] * 5 + [False] * 5)
    expected = [0.4] * 5 + [1.0, 1.0, 0.5, 0.0, 0.0]
    assert by_decile(hit, words) == pytest.approx(expected)
    order = np.random.default_rng(0).permutation(20)
    assert by_decile(hit[order], words[order]) == pytest.approx(expected)


class FixedScores(ClosedVocabularyModel):
    """Model whose features are its scores, fixed per split."""

    def __init__(self, **tables: torch.Tensor):
        self.tables = tables

    def features(self, text, split: str) -> torch.Tensor:
        return self.tables[split]

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        return features


@pytest.fixture(scope="module")
def measured(corpus, vocabulary):
    """Scores with the true words made likelier, the scored text, and the quality figures."""
    generator = torch.Generator().manual_seed(0)
    tables = {}
    for split in ("validation", "test"):
        words = torch.from_numpy(vocabulary.encode(getattr(corpus, split).words).astype(np.int64))
        tables[split] = torch.randn(len(words), len(vocabulary), generator=generator)
        tables[split][torch.arange(len(words)), words] += 2
    evaluation_data = EvaluationData(vocabulary, Speller(vocabulary), corpus.validation, corpus.test, 500, 50)
    scored_text = score(FixedScores(**tables), evaluation_data)
    return tables["test"], scored_text, quality(scored_text, vocabulary, corpus.test, search_words=50)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_accuracies_equal_scikit_learn(measured, vocabulary, k):
    scores, scored_text, figures = measured
    known = scored_text.word != vocabulary.unk
    candidates = scores.clone()
    candidates[:, vocabulary.unk] = scores.min() - 1
    hits = top_k_accuracy_score(
        scored_text.word[known], candidates[known], k=k, labels=np.arange(len(vocabulary)), normalize=False
    )
    assert figures[f"accuracy_at_{k}"] == hits / len(known)
    logits = scored_text.calibration.logits(scores, torch.from_numpy(vocabulary.log_unigram))
    logits[:, vocabulary.unk] = logits.min() - 1
    hits = top_k_accuracy_score(
        scored_text.word[known], logits[known], k=k, labels=np.arange(len(vocabulary)), normalize=False
    )
    assert figures[f"calibrated_accuracy_at_{k}"] == hits / len(known)


def test_reciprocal_ranks_equal_scikit_learn():
    random = np.random.default_rng(0)
    scores, words = random.normal(size=(300, 11)), random.integers(1, 11, 300)  # ten candidates, and <unk> with id 0
    ranks = count_ranks(torch.from_numpy(scores), torch.from_numpy(words), 0).rank.numpy()
    expected = label_ranking_average_precision_score(np.eye(11)[words][:, 1:], scores[:, 1:])
    assert np.where(ranks <= 10, 1 / ranks, 0).mean() == pytest.approx(expected, abs=1e-12)


def test_closed_perplexities_equal_torchmetrics(measured, vocabulary):
    scores, scored_text, figures = measured
    words = torch.from_numpy(scored_text.word.astype(np.int64))
    logits = scored_text.calibration.logits(scores, torch.from_numpy(vocabulary.log_unigram))
    for name, rows in {"closed_perplexity": logits, "raw_closed_perplexity": scores}.items():
        expected = Perplexity(ignore_index=vocabulary.unk)(rows[None], words[None])
        assert figures[name] == pytest.approx(float(expected), rel=1e-5)
