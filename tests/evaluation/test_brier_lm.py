"""BrierLM by two draws against exact Brier scores, in words and in word pieces."""

import logging

import numpy as np
import pytest
import torch
from factories.models import CORPUS, sharpened, tiny_model
from factories.references import history_of, log_word

from bench.evaluation import brier_lm
from bench.evaluation.block_scores import masses, words_at
from bench.evaluation.score import EvaluationData, score
from bench.evaluation.subword_brier import brier_n
from bench.evaluation.word_brier import NO_WORD, continue_draws, shared_words
from bench.heads.softmax import SoftmaxHead
from bench.models.backbones.rnn import RNN
from bench.models.count_model import CountModel
from bench.models.language_model import rows_of
from bench.models.spelling import Speller
from bench.models.word_batches import Inputs
from bench.models.word_model import WordModel


def interval(estimates: np.ndarray) -> tuple[float, float]:
    """Of the mean, three and a half standard errors each way: a fixed seed falls outside once in two thousand."""
    error = estimates.std(ddof=1) / len(estimates) ** 0.5
    return estimates.mean() - 3.5 * error, estimates.mean() + 3.5 * error


def test_words_in_common_end_at_the_first_difference_and_nothing_equals_none():
    one = np.array([[1, 2, 3, 4], [1, 9, 3, 4], [-1, 2, 3, 4], [1, 2, -1, -1]])
    other = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [-1, 2, 3, 4], [1, 2, -1, -1]])
    assert shared_words(one, other).tolist() == [4, 1, 0, 2]


def test_starts_leave_room_for_four_words_in_the_document():
    assert brier_lm.start_positions(np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2])).tolist() == [0, 1, 8]
    assert brier_lm.start_positions(np.array([0, 0, 0])).tolist() == []


def test_brier_estimates_equal_hand_computed():
    found = brier_lm.estimates_of(np.array([4, 0]), np.array([1, 0]), np.array([1, 0]))
    assert found.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert brier_lm.estimates_of(np.array([0, 0]), np.array([0, 0]), np.array([2, 0])).tolist() == [
        [-1, -1, 0, 0],
        [0] * 4,
    ]


def test_deterministic_decoding_leaves_it_undefined_with_one_line(caplog):
    with caplog.at_level(logging.WARNING, "bench"):
        found = brier_lm.estimates_of(np.array([1, 0]), np.array([1, 0]), np.array([4, 4]))
    assert np.isnan(found).all() and found.shape == (2, 4)
    assert caplog.text.count("BrierLM is undefined: two draws at a position never differ") == 1


def test_draws_equal_those_of_one_state_per_draw_when_equal_draws_share_a_state():
    random, unk, asked = torch.Generator().manual_seed(0), 0, []
    p = torch.rand(4, 4, generator=random).pow(2)  # of the next word, after each word
    true = torch.randint(4, (500, brier_lm.MOST_WORDS), generator=random)
    first = torch.randint(4, (500, 2), generator=random)

    def proceed(states: tuple[torch.Tensor], words: torch.Tensor) -> tuple[torch.Tensor]:
        asked.append(torch.stack([states[0] // 4**3, states[0] * 4 % 4**3 + words], 1))  # position and words so far
        return (states[0] // 4**3 * 4**3 + asked[-1][:, 1],)

    def words_after(words: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        return words_at(masses(p[words]), uniform, 4, lambda chosen: p[words].gather(1, chosen))

    def draw(states: tuple[torch.Tensor], uniform: torch.Tensor) -> torch.Tensor:
        return words_after(states[0] % 4, uniform)

    states = (torch.arange(500) * 4**3,)
    found = continue_draws(states, first, true, unk, proceed, draw, torch.Generator().manual_seed(1))

    expected, uniform = first[..., None].tolist(), torch.Generator().manual_seed(1)
    for _ in range(1, brier_lm.MOST_WORDS):
        length, goes_on = len(expected[0][0]), []
        for row, words in zip(expected, true.tolist(), strict=True):
            level = row[0] == row[1] and unk not in row[0]
            goes_on.append([(one == words[:length] and unk not in one) or level for one in row])
        alive = [i for i, pair in enumerate(goes_on) if any(pair)]
        shares = dict(zip(alive, torch.rand(2, len(alive), generator=uniform).T, strict=True))
        for i, row in enumerate(expected):
            for branch, one in enumerate(row):
                share = shares[i][branch].view(1, 1) if goes_on[i][branch] else None
                one.append(int(words_after(torch.tensor([one[-1]]), share)) if goes_on[i][branch] else NO_WORD)
    expected = torch.tensor(expected)
    assert torch.equal(found, expected.masked_fill(expected == unk, NO_WORD))
    assert (found[..., -1] != NO_WORD).sum() > 10
    assert all(len(each.unique(dim=0)) == len(each) for each in asked)  # no state is computed twice


@pytest.fixture(scope="module")
def evaluation_data(corpus, vocabulary) -> EvaluationData:
    return EvaluationData(vocabulary, Speller(vocabulary), corpus.validation, corpus.test, 500, 50)


@pytest.fixture(scope="module", params=["ngram", "lstm"])
def model(request, corpus, vocabulary):
    """A bigram model, or an LSTM with weights so large that words have likely followers."""
    if request.param == "ngram":
        return CountModel(corpus=corpus, vocabulary=vocabulary, order=2)
    torch.manual_seed(0)
    trunk = RNN(cell=torch.nn.LSTM, hidden_size=16, layers=2, dropout=0.0, vocabulary_size=len(vocabulary))
    head = SoftmaxHead(hidden_size=16, vocabulary=vocabulary)
    with torch.no_grad():
        for weight in [*trunk.parameters(), head.words.weight]:
            weight.mul_(6)
    return WordModel(trunk, head, Inputs(vocabulary), lr=1e-3, weight_decay=0.0)


def test_states_before_each_word_go_on_as_the_text_does(model, corpus, vocabulary):
    states, features = model.states(corpus.test, "test"), model.features(corpus.test, "test")
    torch.testing.assert_close(states[0], features, rtol=1e-5, atol=1e-5)
    here = torch.tensor([3, 700, 1100])
    words = (
        torch.from_numpy(model.inputs.vocabulary.encode(corpus.test.words).astype(np.int64))
        if hasattr(model, "inputs")
        else torch.from_numpy(model.vocabulary.encode(corpus.test.words).astype(np.int64))
    )
    there = model.proceed(rows_of(states, here), words[here])
    torch.testing.assert_close(there[0], features[here + 1], rtol=1e-4, atol=1e-4)


def test_brier_1_by_draws_holds_the_exact_one(model, evaluation_data):
    scored = score(model, evaluation_data)
    drawn = ~np.isnan(scored.brier_n[:, 0])
    assert drawn.sum() == len(brier_lm.start_positions(scored.document)) > 1000
    low, high = interval(scored.brier_n[drawn, 0])
    assert low < scored.brier[drawn].mean() < high
    assert (np.diff(np.abs(scored.brier_n[drawn]), axis=1) <= 1).all()


def test_brier_2_by_draws_holds_the_exact_one(evaluation_data):
    """Σ over all pairs of words, which a bigram model gives at once."""
    model = CountModel(corpus=evaluation_data.vocabulary.corpus, vocabulary=evaluation_data.vocabulary, order=2)
    scored, unk = score(model, evaluation_data), evaluation_data.vocabulary.unk
    log_unigram = torch.from_numpy(evaluation_data.vocabulary.log_unigram)
    at = np.flatnonzero(~np.isnan(scored.brier_n[:, 0]))
    scores = model.scores(model.features(evaluation_data.test, "test")[at])
    first = scored.calibration.logits(scores, log_unigram).softmax(1).numpy()
    contexts = torch.arange(len(evaluation_data.vocabulary))[:, None]
    then = scored.calibration.logits(model.scores(contexts), log_unigram).softmax(1).numpy()  # [V, V]
    first[:, unk], square = 0, np.delete(then, unk, 1) ** 2
    one, two = scored.word[at], scored.word[at + 1]
    hit = np.where(two == unk, 0, first[np.arange(len(at)), one] * then[one, two])
    exact = 2 * hit - first**2 @ square.sum(1)
    low, high = interval(scored.brier_n[at, 1])
    assert low < exact.mean() < high and exact.mean() > 2e-3


def test_draws_of_word_pieces_follow_the_probabilities_of_words(monkeypatch):
    model, kept = sharpened(tiny_model(context=64)), []
    positions = brier_lm.start_positions(np.repeat(np.arange(3), np.diff(CORPUS.test.starts)))
    hits, squares = [], []
    for at in positions:
        history = history_of(model, int(at), model.context // 2)
        spelt = [model.pieces.encode_words(np.array([word])) for word in range(len(CORPUS.lexicon))]
        p = np.exp([log_word(model, history, pieces) for pieces in spelt])
        one, two = CORPUS.test.words[at : at + 2]
        hits.append((p[one], p[one] * np.exp(log_word(model, np.concatenate([history, spelt[one]]), spelt[two]))))
        squares.append((p**2).sum())
    monkeypatch.setattr(brier_lm, "estimates_of", lambda *counts: kept.append(counts) or np.stack(counts, 1))
    brier_n(model, CORPUS.test, np.tile(positions, 200))
    one, other, both = kept[0]
    for n, exact in enumerate(np.mean(hits, 0)):
        expected = exact * 2 * len(one)  # of draws that agree, a count of rare events
        assert abs((one > n).sum() + (other > n).sum() - expected) < 3.5 * expected**0.5 + 2
    # words that the lexicon lacks are drawn too: over the lexicon alone, the sum of squares is a lower bound
    assert interval((both > 0).astype(float))[1] > np.mean(squares)
    assert ((both > 1) <= (both > 0)).all() and (both > 1).any()
