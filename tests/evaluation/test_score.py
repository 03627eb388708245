"""Ranks, nats and Brier scores against loops in double precision, for any size of block."""

from collections.abc import Callable
from math import inf

import numpy as np
import pytest
import torch
from factories.references import naive_rank

from bench.core.errors import Diverged
from bench.evaluation import calibration
from bench.evaluation import score as module
from bench.evaluation.block_scores import BlockScorer
from bench.evaluation.calibration import Calibration, fit
from bench.evaluation.ranks import RankCounts, RankModel, count_ranks
from bench.evaluation.score import EvaluationData, score, validation_nats
from bench.models.language_model import ClosedVocabularyModel


class Table(ClosedVocabularyModel):
    """Model whose scores are rows of a table; features are the positions."""

    def __init__(self, **tables: torch.Tensor):
        self.tables = tables

    def features(self, text, split: str) -> torch.Tensor:
        rows = torch.arange(len(text)) + 10_000 * (split == "test")
        return rows[:, None]

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        rows = features[:, 0]
        return self.tables["test"][rows - 10_000] if rows[0] >= 10_000 else self.tables["validation"][rows]


def table(evaluation_data: EvaluationData, make: Callable[..., torch.Tensor]) -> Table:
    """Return a model with scores per split, made by a function of a generator and a shape."""
    generator, size = torch.Generator().manual_seed(0), len(evaluation_data.vocabulary)
    splits = {"validation": evaluation_data.validation, "test": evaluation_data.test}
    return Table(**{name: make(generator, (len(text), size)) for name, text in splits.items()})


def noise(generator: torch.Generator, shape: tuple[int, int]) -> torch.Tensor:
    return torch.randn(shape, generator=generator)


def steps(generator: torch.Generator, shape: tuple[int, int]) -> torch.Tensor:
    """Draw scores of few values, with many ties."""
    return torch.randint(0, 12, shape, generator=generator) / 4.0


def naive_log_p(scores: np.ndarray) -> np.ndarray:
    return scores - np.log(np.exp(scores - scores.max()).sum()) - scores.max()


@pytest.mark.parametrize("make", [noise, steps])
def test_scored_text_equals_loop_at_every_position(evaluation_data, make):
    model, vocabulary = table(evaluation_data, make), evaluation_data.vocabulary
    scored = score(model, evaluation_data)
    lexicon = vocabulary.corpus.lexicon
    log_unigram = vocabulary.log_unigram.astype(np.float64)
    brier, position = [], 0
    for number, document in enumerate(evaluation_data.test.documents()):
        for word in document.tolist():
            row, target = model.tables["test"][position], int(vocabulary.ids[word])
            raw = row.double().numpy()
            single = scored.calibration.logits(row[None], torch.from_numpy(vocabulary.log_unigram))[0].tolist()
            log_p = naive_log_p(scored.calibration.scale * raw + scored.calibration.prior * log_unigram)
            price = evaluation_data.speller.nats(lexicon[word]) if target == vocabulary.unk else 0.0
            p = np.where(np.arange(len(row)) == vocabulary.unk, 0, np.exp(log_p))  # `<unk>` equals no word
            brier.append(2 * p[target] - (p**2).sum())
            assert scored.document[position] == number
            assert scored.word[position] == target
            assert scored.rank[position] == naive_rank(raw.tolist(), target, vocabulary.unk)
            assert scored.calibrated_rank[position] == naive_rank(single, target, vocabulary.unk)
            assert scored.nats[position] == pytest.approx(price - log_p[target], rel=1e-5)
            assert scored.raw_nats[position] == pytest.approx(price - naive_log_p(raw)[target], rel=1e-5)
            position += 1
    assert position == len(scored.rank) == len(evaluation_data.test)
    assert np.isinf(scored.rank).sum() == (scored.word == vocabulary.unk).sum() > 0
    np.testing.assert_allclose(scored.brier, brier, atol=1e-6)
    assert scored.brier_n is None  # a table cannot read words that it wrote


def test_calibration_is_fitted_on_positions_spread_over_validation(evaluation_data):
    model = table(evaluation_data, noise)
    words = evaluation_data.vocabulary.encode(evaluation_data.validation.words).astype(np.int64)
    spread = [i * (len(words) - 1) // 199 for i in range(200)]
    block = model.tables["validation"][spread], torch.from_numpy(words[spread])
    expected = fit(lambda: [block], torch.from_numpy(evaluation_data.vocabulary.log_unigram))
    np.testing.assert_allclose(score(model, evaluation_data).calibration, expected, atol=1e-6)


@pytest.mark.parametrize("cells", [1, 7 * 200 + 3, 2**26])
def test_scored_text_is_independent_of_block_size(evaluation_data, cells, monkeypatch):
    model = table(evaluation_data, steps)
    expected = score(model, evaluation_data)
    monkeypatch.setattr(module, "CELLS", cells)
    monkeypatch.setattr(calibration, "CACHED_CELLS", cells // 2)
    monkeypatch.setattr(module, "KEPT_CELLS", 0)
    scored = score(model, evaluation_data)
    np.testing.assert_array_equal(scored.rank, expected.rank)
    np.testing.assert_allclose(scored.calibration, expected.calibration, atol=1e-6)
    np.testing.assert_allclose(scored.nats, expected.nats, rtol=1e-6)
    np.testing.assert_allclose(scored.brier, expected.brier, atol=1e-7)
    np.testing.assert_allclose(scored.rank_nats, expected.rank_nats, rtol=1e-6)


def test_blocks_hold_a_bounded_number_of_cells(evaluation_data, monkeypatch):
    model, shapes = table(evaluation_data, noise), []
    monkeypatch.setattr(module, "CELLS", 1000)
    monkeypatch.setattr(module, "KEPT_CELLS", 0)
    made = model.scores
    model.scores = lambda features: shapes.append(len(features)) or made(features)
    score(model, evaluation_data)
    assert max(shapes) == 1000 // 200


def test_constant_scores_give_unigram_nats_and_mean_rank(evaluation_data):
    vocabulary = evaluation_data.vocabulary
    scored = score(table(evaluation_data, lambda _, shape: torch.full(shape, 3.7)), evaluation_data)
    known = scored.word != vocabulary.unk
    assert set(scored.rank[known]) == {len(vocabulary) / 2}  # of V - 1 candidates
    assert scored.calibration.scale == 0
    log_p = naive_log_p(scored.calibration.prior * vocabulary.log_unigram.astype(np.float64))
    np.testing.assert_allclose(scored.nats[known], -log_p[scored.word[known]], rtol=1e-5)
    np.testing.assert_allclose(scored.raw_nats[known], np.log(len(vocabulary)), rtol=1e-6)


@pytest.mark.parametrize(
    ("scores", "word", "expected"),
    [
        ([9.0, 1.0, 5.0, 3.0], 2, 1),  # <unk> has the best score and is not a candidate
        ([0.0, 1.0, 5.0, 3.0], 1, 3),
        ([2.0, 2.0, 2.0, 1.0], 1, 1.5),
        ([0.0, 4.0, 4.0, 4.0], 3, 2),
        ([9.0, 1.0, 5.0, 3.0], 0, inf),
    ],
)
def test_ranks_equal_hand_computed(scores, word, expected):
    assert count_ranks(torch.tensor([scores]), torch.tensor([word]), unk=0).rank.tolist() == [expected]


def test_calibration_changes_calibrated_rank_and_not_raw_rank():
    scores, words = torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([2])
    prior = torch.tensor([0.1, 0.1, 0.8]).log()
    rank_model = RankModel(RankCounts(torch.zeros(1), torch.ones(1), torch.tensor([True])), 3)
    scorer = BlockScorer(Calibration(1.0, 1.0), rank_model, prior, 0, torch.Generator())
    raw, calibrated, nats, raw_nats, _, brier, *drawn = scorer.measure(scores, words)[:, 0].tolist()
    weights = np.exp([0.0, 2.0, 1.0]) * [0.1, 0.1, 0.8]
    p = weights / weights.sum()
    assert (raw, calibrated) == (2, 1)
    assert nats == pytest.approx(-np.log(p[2]), abs=1e-6)
    assert raw_nats == pytest.approx(-np.log(np.e / (1 + np.e + np.e**2)), abs=1e-6)
    assert brier == pytest.approx(2 * p[2] - (p[1:] ** 2).sum(), abs=1e-6)
    assert set(drawn) <= {0, 1, 2}


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("bad", [float("nan"), inf])
def test_score_raises_when_a_score_is_not_finite(evaluation_data, split, bad):
    model = table(evaluation_data, noise)
    model.tables[split][0, 5] = bad
    with pytest.raises(Diverged, match="scores that are not finite"):
        score(model, evaluation_data)


def test_validation_nats_are_of_positions_not_used_for_calibration(evaluation_data):
    model, vocabulary = table(evaluation_data, steps), evaluation_data.vocabulary
    words = vocabulary.encode(evaluation_data.validation.words).astype(np.int64)
    spread = [i * (len(words) - 1) // 199 for i in range(200)]
    fitted, measured = spread[::2], spread[1::2]
    scores, log_unigram = model.tables["validation"], torch.from_numpy(vocabulary.log_unigram)
    calibration = fit(lambda: [(scores[fitted], torch.from_numpy(words[fitted]))], log_unigram)
    nats = torch.nn.functional.cross_entropy(
        calibration.logits(scores[measured], log_unigram).double(), torch.from_numpy(words[measured])
    )
    known = evaluation_data.vocabulary.corpus.words_of(evaluation_data.validation.words[measured])
    prices = [0.0 if word in vocabulary.words else evaluation_data.speller.nats(word) for word in known]
    assert validation_nats(model, evaluation_data) == pytest.approx(float(nats) + np.mean(prices), rel=1e-6)


def test_spelling_is_priced_when_a_word_has_no_id(evaluation_data):
    vocabulary = evaluation_data.vocabulary
    prices = module.spelling_nats(table(evaluation_data, noise), evaluation_data, evaluation_data.test)
    words = vocabulary.corpus.words_of(evaluation_data.test.words)
    expected = [0.0 if word in vocabulary.words else evaluation_data.speller.nats(word) for word in words]
    np.testing.assert_allclose(prices, expected, rtol=1e-6)
    assert module.vocabulary_ids(vocabulary, evaluation_data.test).tolist() == [
        vocabulary.words.index(word) if word in vocabulary.words else vocabulary.unk for word in words
    ]


def test_document_and_word_give_numbers_and_ids_per_position(vocabulary, corpus):
    fields = module.document_and_word(vocabulary, corpus.test)
    lengths = [len(document) for document in corpus.test.documents()]
    assert fields["document"].tolist() == [number for number, n in enumerate(lengths) for _ in range(n)]
    assert fields["word"].tolist() == vocabulary.encode(corpus.test.words).tolist()
