"""Generation: greedy words against a hand-stepped network, draws against the calibrated distribution."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from factories.models import context_sensitive_model

from bench.core.errors import SettingError
from bench.data.corpus import build_corpus
from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import Calibration
from bench.evaluation.exact_decoder import ExactDecoder
from bench.evaluation.generation import draw_word, prompts_of, read_prompt
from bench.evaluation.word_evaluator import WordEvaluator
from bench.heads.softmax import SoftmaxHead
from bench.models.count_model import CountModel


def naive_greedy(model, vocabulary, prompt: list[int], count: int) -> list[str]:
    """Feed the network word by word; the next word is the best word except `<unk>`."""
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
    return context_sensitive_model(vocabulary)


def test_greedy_words_equal_hand_stepped_network(model, vocabulary, corpus):
    written = []
    for prompt in ([3], [11], corpus.train.words[:7].tolist(), corpus.train.words[200:209].tolist()):
        words = WordEvaluator(model).generate(vocabulary, prompt, 12, greedy=True, calibration=None, seed=0)
        assert words == naive_greedy(model, vocabulary, prompt, 12)
        written += words
    assert len(set(written)) > 2


def test_greedy_words_depend_on_neither_seed_nor_calibration(model, vocabulary):
    calibrations = (None, Calibration(-1.0, 3.0))
    first, second = (
        WordEvaluator(model).generate(vocabulary, [5], 6, greedy=True, calibration=calibration, seed=seed)
        for seed, calibration in enumerate(calibrations)
    )
    assert first == second


def test_generation_never_writes_unk(vocabulary):
    model = CountModel(corpus=vocabulary.corpus, vocabulary=vocabulary, order=1)
    scores = model.scores(torch.zeros(1, 1, dtype=torch.long))[0]
    assert scores.argmax() == vocabulary.unk  # the word that greedy generation must exclude
    best = scores.topk(2).indices[1]
    greedy = WordEvaluator(model).generate(vocabulary, [0], 5, greedy=True, calibration=None, seed=0)
    assert greedy == [vocabulary.words[best]] * 5
    drawn = WordEvaluator(model).generate(vocabulary, [0], 300, greedy=False, calibration=Calibration(1.0, 0.0), seed=0)
    assert len(drawn) == 300
    assert set(drawn) <= {*vocabulary.words} - {vocabulary.words[vocabulary.unk]}


def test_draws_depend_on_seed_only(model, vocabulary):
    def draw(seed: int) -> list[str]:
        return WordEvaluator(model).generate(
            vocabulary, [1, 2], 10, greedy=False, calibration=Calibration(0.3, 0.5), seed=seed
        )

    torch.manual_seed(5)
    first = draw(0)
    torch.manual_seed(6)
    assert draw(0) == first
    assert draw(1) != first


def test_draws_follow_the_calibrated_distribution_without_unk():
    scores, log_unigram = torch.tensor([5.0, 0.0, 1.0, 2.0]), torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    generator = torch.Generator().manual_seed(0)
    drawn = [draw_word(scores, Calibration(0.5, 2.0), log_unigram, 0, generator) for _ in range(5000)]
    weights = np.exp([0.0, 0.5, 1.0]) * np.array([0.3, 0.2, 0.1]) ** 2
    shares = np.bincount(drawn, minlength=4) / 5000
    np.testing.assert_allclose(shares, [0, *weights / weights.sum()], atol=0.03)
    assert scores.tolist() == [5.0, 0.0, 1.0, 2.0]


def test_prompt_keeps_only_words_of_the_lexicon(corpus):
    known = corpus.lexicon[:2]
    prompt = f"{known[0].upper()}, nonsense {known[1]}"
    assert read_prompt(corpus, prompt, lowercase=True) == [0, 1]
    assert read_prompt(corpus, prompt, lowercase=False) == [1]


@pytest.mark.parametrize("prompt", ["", " ", "zzz !"])
def test_prompt_without_a_known_word_is_refused(corpus, prompt):
    with pytest.raises(SettingError, match=rf"^generation.prompts: '{prompt}' holds no word of markov; give one"):
        read_prompt(corpus, prompt, lowercase=True)


def test_default_prompts_are_the_first_known_words_of_validation_documents_spread_over_the_split():
    """A text without a word of English."""
    validation = [f"неведомое{i} слово{i} и ещё слова дальше".split() for i in range(10)] + [["никогда"]]
    train = [[f"слово{i}" for i in range(10)] + ["и", "ещё", "слова", "дальше"]] * 2 + [["ягода"]]
    corpus = build_corpus("русский", {"train": train, "validation": validation, "test": train})
    prompts = prompts_of(Vocabulary(corpus, 15), None, lowercase=True)
    assert [text for text, _ in prompts] == [f"слово{i} и ещё слова" for i in (0, 3, 6, 9)]
    assert [" ".join(corpus.words_of(words)) for _, words in prompts] == [text for text, _ in prompts]


def test_short_validation_split_gives_fewer_default_prompts(corpus, vocabulary):
    one = replace(corpus, validation=concatenate(corpus.validation.documents()[:1]))
    small = Vocabulary(one, len(vocabulary))
    assert [text for text, _ in prompts_of(small, None, lowercase=True)] == [
        text for text, _ in prompts_of(vocabulary, None, lowercase=True)[:1]
    ]


def test_given_prompts_are_read_as_typed(corpus, vocabulary):
    text = f"nonsense {corpus.lexicon[1]}"
    assert prompts_of(vocabulary, [text, text], lowercase=True) == [(text, [1]), (text, [1])]
    assert prompts_of(vocabulary, [], lowercase=True) == []


@pytest.mark.parametrize("greedy", [True, False])
def test_words_from_states_equal_words_from_features_of_whole_text(model, vocabulary, monkeypatch, greedy):
    options = {"greedy": greedy, "calibration": Calibration(0.5, 0.5), "seed": 3}
    from_states = WordEvaluator(model).generate(vocabulary, [3, 8], 12, **options)
    monkeypatch.setattr(type(model), "states", lambda *_: None)
    monkeypatch.setattr(type(model), "proceed", None)
    assert WordEvaluator(model).generate(vocabulary, [3, 8], 12, **options) == from_states


def test_gpu_uses_the_index_only_for_more_scores_than_it_holds_at_once():
    rows = torch.empty(2**20, 4, device="meta")
    decoder = ExactDecoder(SimpleNamespace(rows=lambda: (rows, None)), 0)
    assert decoder.uses_index(1, torch.device("cpu"))
    assert [decoder.uses_index(n, torch.device("cuda")) for n in (1, 256, 257)] == [False, False, True]


@pytest.mark.parametrize("rows", [1, 10**9])
def test_best_word_excludes_unk_with_and_without_an_index(vocabulary, monkeypatch, rows):
    monkeypatch.setattr("bench.evaluation.exact_decoder.INDEX_ROWS", rows)
    torch.manual_seed(0)
    head = SoftmaxHead(hidden_size=6, vocabulary=vocabulary)
    with torch.no_grad():
        head.words.bias[vocabulary.unk] += 2  # <unk> is the best word of some queries
    hidden, decoder = torch.randn(64, 6), ExactDecoder(head, vocabulary.unk)
    scores = head.scores(hidden).detach()
    assert (scores.argmax(1) == vocabulary.unk).any() and decoder.uses_index(64, hidden.device) == (rows == 1)
    assert torch.equal(decoder.best(hidden, 5), scores.topk(5).indices)
    scores[:, vocabulary.unk] = -torch.inf
    assert torch.equal(decoder.best_word(hidden), scores.argmax(1))
