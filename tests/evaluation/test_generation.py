"""Greedy words against stepping the network by hand, draws against the distribution."""

import numpy as np
import pytest
import torch
from factories.models import word_model

from bench.core.errors import SettingError
from bench.evaluation.calibration import Calibration
from bench.evaluation.generation import generate, pick, read_prompt
from bench.models.count_model import CountModel


def greedily(model, vocabulary, prompt: list[int], count: int) -> list[str]:
    """Feed word after word through the network; the best known word is next."""
    ids = [len(vocabulary), *vocabulary.encode(np.array(prompt)).tolist()]
    with torch.no_grad():
        hidden, state = model.backbone(torch.tensor([ids]))
        for _ in range(count):
            scores = model.scores(hidden[0, -1:])[0]
            scores[vocabulary.unk] = -torch.inf
            ids.append(int(scores.argmax()))
            hidden, state = model.backbone(torch.tensor([ids[-1:]]), state)
    return [vocabulary.words[word] for word in ids[-count:]]


@pytest.fixture(scope="module")
def model(vocabulary):
    made = word_model(vocabulary)
    with torch.no_grad():  # loud inputs and flat biases, so that words depend on what came before
        made.backbone.rnn.weight_ih_l0.mul_(20)
        made.backbone.rnn.weight_ih_l1.mul_(20)
        made.head.words.weight.mul_(3)
        made.head.words.bias.zero_()
    return made


def test_greedy_words_are_those_of_the_network_stepped_by_hand(model, vocabulary, corpus):
    for prompt in ([3], corpus.train.words[:7].tolist()):
        found = generate(model, vocabulary, prompt, 12, greedy=True, calibration=None, seed=0)
        assert found == greedily(model, vocabulary, prompt, 12)
        assert len(set(found)) > 2


def test_greedy_reads_neither_seed_nor_calibration(model, vocabulary):
    calibrations = (None, Calibration(-1.0, 3.0))
    first, second = (
        generate(model, vocabulary, [5], 6, greedy=True, calibration=calibration, seed=seed)
        for seed, calibration in enumerate(calibrations)
    )
    assert first == second


def test_unk_is_never_written(vocabulary):
    model = CountModel(corpus=vocabulary.corpus, vocabulary=vocabulary, order=1)
    scores = model.scores(torch.zeros(1, 1, dtype=torch.long))[0]
    assert scores.argmax() == vocabulary.unk  # what would be written, if it could
    best = scores.topk(2).indices[1]
    greedy = generate(model, vocabulary, [0], 5, greedy=True, calibration=None, seed=0)
    assert greedy == [vocabulary.words[best]] * 5
    drawn = generate(model, vocabulary, [0], 300, greedy=False, calibration=Calibration(1.0, 0.0), seed=0)
    assert len(drawn) == 300
    assert set(drawn) <= {*vocabulary.words} - {vocabulary.words[vocabulary.unk]}


def test_draws_are_a_function_of_the_seed(model, vocabulary):
    def draw(seed: int) -> list[str]:
        return generate(model, vocabulary, [1, 2], 10, greedy=False, calibration=Calibration(0.3, 0.5), seed=seed)

    torch.manual_seed(5)
    first = draw(0)
    torch.manual_seed(6)
    assert draw(0) == first
    assert draw(1) != first


def test_draws_follow_the_calibrated_distribution_without_unk():
    scores, log_unigram = torch.tensor([5.0, 0.0, 1.0, 2.0]), torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    generator = torch.Generator().manual_seed(0)
    drawn = [pick(scores, Calibration(0.5, 2.0), log_unigram, 0, generator) for _ in range(5000)]
    weights = np.exp([0.0, 0.5, 1.0]) * np.array([0.3, 0.2, 0.1]) ** 2
    shares = np.bincount(drawn, minlength=4) / 5000
    np.testing.assert_allclose(shares, [0, *weights / weights.sum()], atol=0.03)
    assert scores.tolist() == [5.0, 0.0, 1.0, 2.0]


def test_a_prompt_is_the_words_that_the_corpus_knows(corpus):
    known = corpus.lexicon[:2]
    prompt = f"{known[0].upper()}, nonsense {known[1]}"
    assert read_prompt(corpus, prompt, lowercase=True) == [0, 1]
    assert read_prompt(corpus, prompt, lowercase=False) == [1]


@pytest.mark.parametrize("prompt", ["", " ", "zzz !"])
def test_a_prompt_that_holds_no_word(corpus, prompt):
    with pytest.raises(SettingError, match=rf"^generation.prompts: '{prompt}' holds no word of markov; give one"):
        read_prompt(corpus, prompt, lowercase=True)
