"""Generated text of many prompts at once, and the figures that a record keeps of it."""

import itertools

import numpy as np
import pytest
import torch
from factories.models import CORPUS, context_sensitive_model, tiny_model

from bench.data.corpus import build_corpus
from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.evaluation import generation_quality as quality
from bench.evaluation.calibration import Calibration
from bench.evaluation.generation_batch import draw
from bench.evaluation.score import EvaluationData
from bench.evaluation.subword_evaluator import SubwordEvaluator
from bench.evaluation.word_evaluator import WordEvaluator
from bench.models.count_model import CountModel
from bench.models.spelling import Speller

PROMPTS = [[3], [4, 5, 6], [7, 1]]
PLAIN = {"calibration": Calibration(1.0, 0.0), "seed": 5}


@pytest.fixture(scope="module")
def model(vocabulary):
    return context_sensitive_model(vocabulary)


def test_greedy_batch_equals_prompts_one_by_one(model, vocabulary):
    evaluator = WordEvaluator(model)
    alone = [evaluator.generate(vocabulary, prompt, 9, greedy=True, **PLAIN) for prompt in PROMPTS]
    assert evaluator.generate_batch(vocabulary, PROMPTS, 9, greedy=True, **PLAIN) == alone
    assert len({tuple(text) for text in alone}) == 3


def test_drawn_text_of_a_prompt_depends_on_its_seed_and_on_no_other_prompt(model, vocabulary):
    evaluator = WordEvaluator(model)
    together = evaluator.generate_batch(vocabulary, PROMPTS, 9, greedy=False, **PLAIN)
    options = PLAIN | {"seed": PLAIN["seed"] + 2}
    assert evaluator.generate_batch(vocabulary, PROMPTS[2:], 9, greedy=False, **options) == together[2:]
    same_prompt = evaluator.generate_batch(vocabulary, [[3]] * 4, 9, greedy=False, **PLAIN)
    assert len({tuple(text) for text in same_prompt}) == 4


def test_model_without_states_writes_the_same_text(model, vocabulary, monkeypatch):
    evaluator = WordEvaluator(model)
    expected = [evaluator.generate_batch(vocabulary, PROMPTS, 5, greedy=greedy, **PLAIN) for greedy in (True, False)]
    monkeypatch.setattr(type(model), "states", lambda *_: None)
    assert [
        evaluator.generate_batch(vocabulary, PROMPTS, 5, greedy=greedy, **PLAIN) for greedy in (True, False)
    ] == expected


def test_draws_follow_the_distribution_without_unk():
    logits = torch.tensor([0.1, 0.2, 0.4, 0.3]).log().repeat(40_000, 1)
    drawn = draw(logits, 2, torch.rand(40_000, generator=torch.Generator().manual_seed(0)))
    shares = drawn.bincount(minlength=4) / len(drawn)
    np.testing.assert_allclose(shares, torch.tensor([0.1, 0.2, 0, 0.3]) / 0.6, atol=0.01)
    ends = draw(torch.zeros(2, 4), 3, torch.tensor([0.0, 1.0]))
    assert ends.tolist() == [0, 2]


def test_model_of_word_pieces_continues_every_prompt():
    model, vocabulary = tiny_model(), Vocabulary(CORPUS, 20)
    evaluator = SubwordEvaluator(model)
    options = {"greedy": False, "calibration": None}
    texts = evaluator.generate_batch(vocabulary, [[0], [0]], 4, seed=3, **options)
    assert texts == [evaluator.generate(vocabulary, [0], 4, seed=3 + i, **options) for i in range(2)]
    assert texts[0] != texts[1]


def test_segments_do_not_overlap_and_no_prompt_occurs_twice(monkeypatch):
    monkeypatch.setattr(quality, "PROMPT_WORDS", 2)
    monkeypatch.setattr(quality, "WORDS", 3)
    text = concatenate([np.arange(23), np.array([0, 1, 50, 51, 52]), np.arange(30, 34)])
    chosen, others = quality.segments(text)
    assert [each.tolist() for each in (chosen[0], others[0])] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert len(chosen) == len(others) == 2  # [0, 1] begins the second document too; the third is too short
    monkeypatch.setattr(quality, "PROMPTS", 1)
    assert [len(each) for each in quality.segments(text)] == [1, 1]


@pytest.fixture(scope="module")
def data() -> EvaluationData:
    """A text whose test documents have prompts enough."""
    random = np.random.default_rng(0)
    words = ["".join(pair) for pair in itertools.product("aeiou", "bcdfghklmn")]
    share = 1 / np.arange(1, 51)
    documents = [[words[i] for i in random.choice(50, 800, p=share / share.sum())] for _ in range(6)]
    corpus = build_corpus("tiny", {"train": documents[:3], "validation": documents[3:4], "test": documents[4:]})
    vocabulary = Vocabulary(corpus, 40)
    return EvaluationData(vocabulary, Speller(vocabulary), corpus.validation, corpus.test, 100, 10)


def test_greedy_text_of_a_bigram_repeats_more_than_its_drawn_text(data, encoder):
    model = CountModel(corpus=data.vocabulary.corpus, vocabulary=data.vocabulary, order=2)
    reader = encoder(context="bidirectional", special_tokens="both")
    figures = quality.generation_quality(WordEvaluator(model), data, Calibration(1.0, 0.0), reader, 0)
    assert figures["prompts"] == 10
    assert figures["greedy"]["repeated_4"] > figures["sampled"]["repeated_4"]
    assert figures["greedy"]["distinct_2"] < figures["sampled"]["distinct_2"]
    assert figures["greedy"]["judge_perplexity"] < figures["sampled"]["judge_perplexity"]
    assert figures["real"]["judge_perplexity"] > 1
    for way in ("real", "greedy", "sampled"):
        assert figures[way]["frechet_low"] <= figures[way]["frechet"] <= figures[way]["frechet_high"]
        assert 0 <= figures[way]["copied_8"] <= 1
    assert figures["greedy"]["frechet"] > figures["real"]["frechet"]
    assert [set(text) for text in figures["texts"]] == [{"prompt", "real", "greedy", "sampled"}] * 4
    assert all(len(text["greedy"].split()) == 64 for text in figures["texts"])


def test_text_that_the_encoder_cannot_read_has_no_frechet_distance(data, encoder, monkeypatch, capsys):
    reader = encoder(context="bidirectional", special_tokens="both")
    monkeypatch.setattr(reader, "unknown_share", lambda words: 0.11)
    model = CountModel(corpus=data.vocabulary.corpus, vocabulary=data.vocabulary, order=1)
    figures = quality.generation_quality(WordEvaluator(model), data, Calibration(1.0, 0.0), reader, 0)
    assert [figures[way]["frechet"] for way in ("real", "greedy", "sampled")] == [None] * 3
    assert figures["greedy"]["judge_perplexity"] > 1
    captured = capsys.readouterr()
    said = " ".join((captured.out + captured.err).split())
    assert "no Fréchet distance" in said and "has no word pieces for 11% of the real words" in said


def test_share_of_words_without_pieces_counts_every_occurrence(encoder):
    assert encoder().unknown_share(["the", "ქართული", "the", "ქართული", "ქართული"]) == pytest.approx(0.6)


def test_short_test_text_is_not_measured(data, encoder):
    short = EvaluationData(data.vocabulary, data.speller, data.validation, data.test.head(400), 100, 10)
    model = CountModel(corpus=data.vocabulary.corpus, vocabulary=data.vocabulary, order=1)
    assert quality.generation_quality(WordEvaluator(model), short, Calibration(1.0, 0.0), encoder(), 0) is None
