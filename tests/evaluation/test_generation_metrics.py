"""Metrics of generated text against other libraries, slow references and values computed by hand."""

import math

import numpy as np
import pytest
import scipy.linalg
from factories.references import kneser_ney
from nltk.util import ngrams as nltk_ngrams

from bench.data.corpus import build_corpus
from bench.data.text import concatenate
from bench.evaluation import generation_judge, generation_metrics
from bench.evaluation.generation_frechet import frechet_distance, frechet_interval
from bench.evaluation.generation_judge import ORDER, Judge
from bench.evaluation.generation_metrics import copied, distinct, repeated


def test_distinct_counts_n_grams_of_all_texts_together():
    texts = [["a", "b", "a"], ["a", "b"]]
    assert distinct(texts, 1) == 2 / 5
    assert distinct(texts, 2) == 2 / 3
    assert distinct(texts, 4) is None


def test_distinct_and_repeated_agree_with_nltk():
    random = np.random.default_rng(0)
    texts = [random.integers(0, 4, 30).tolist() for _ in range(5)]
    for n in (1, 2, 4):
        grams = [list(nltk_ngrams(text, n)) for text in texts]
        joined = [gram for each in grams for gram in each]
        assert distinct(texts, n) == len(set(joined)) / len(joined)
        assert repeated(texts, n) == pytest.approx(np.mean([1 - len(set(each)) / len(each) for each in grams]))


def test_repeated_is_the_mean_over_texts_that_are_long_enough():
    assert repeated([["a"] * 7, ["a", "b", "c", "d"], ["a"]], 4) == pytest.approx((3 / 4 + 0) / 2)
    assert repeated([["a"]], 4) is None


@pytest.mark.parametrize("chunk", [1, 3, 2**22])
def test_copied_counts_n_grams_of_single_training_documents(chunk, monkeypatch):
    monkeypatch.setattr(generation_metrics, "CHUNK", chunk)
    train = concatenate([np.arange(10), np.arange(20, 26)])
    texts = [np.array([2, 3, 4, 5, 9]), np.array([8, 9, 20, 21]), np.array([20, 21, 22, -1]), np.array([1])]
    # windows: 234 yes, 345 yes, 459 no; 8 9 20 and 9 20 21 cross documents; 20 21 22 yes, 21 22 -1 no
    assert copied(texts, train, n=3) == 3 / 7
    assert copied([np.array([1])], train, n=3) is None
    assert copied([np.arange(5)], concatenate([np.arange(2)]), n=3) == 0


def test_copied_agrees_with_a_search_of_the_training_text():
    random = np.random.default_rng(1)
    train = concatenate([random.integers(0, 3, length) for length in (200, 150, 2)])
    texts = [random.integers(0, 3, 40) for _ in range(4)]
    known = {gram for words in train.documents() for gram in nltk_ngrams(words.tolist(), 5)}
    grams = [gram for text in texts for gram in nltk_ngrams(text.tolist(), 5)]
    share = sum(gram in known for gram in grams) / len(grams)
    assert 0.1 < share < 0.9
    assert copied(texts, train, n=5) == share


def judged_corpus():
    random = np.random.default_rng(2)
    document = [["a", "b", "c", "d", "e"][i] for i in random.choice(5, 60, p=[0.4, 0.3, 0.2, 0.05, 0.05])]
    return build_corpus("tiny", {"train": [document[:40], document[40:]], "validation": [["a"]], "test": [["z", "b"]]})


@pytest.mark.parametrize(("most", "rows"), [(6206, 256), (3, 2)])
def test_judge_agrees_with_the_formula_and_prices_rare_and_unknown_words(most, rows, monkeypatch):
    monkeypatch.setattr(generation_judge, "MOST_SYMBOLS", most)
    monkeypatch.setattr(generation_judge, "ROWS", rows)
    corpus = judged_corpus()
    index = {word: i for i, word in enumerate(corpus.lexicon)}
    judge = Judge(corpus, index)
    kept = min(most, 5) - 1  # words with a symbol of their own
    frequent = set(corpus.lexicon[:kept])
    rare = {word: int(corpus.counts[i]) + 1 for i, word in enumerate(corpus.lexicon) if word not in frequent}
    total = sum(rare.values()) + 1

    def symbol(word: str) -> str:
        return word if word in frequent else "<unk>"

    names = sorted({symbol(word) for word in corpus.lexicon})
    number = {name: i for i, name in enumerate(names)}
    documents = [[number[symbol(word)] for word in corpus.words_of(words)] for words in corpus.train.documents()]
    p = kneser_ney(documents, len(names), ORDER)
    prompts, texts = [["a", "b"], ["c"]], [["a", "z", "b", "e"], ["nowhere", "b"]]
    logs = []
    for prompt, text in zip(prompts, texts, strict=True):
        line = [len(names)] * (ORDER - 1) + [number[symbol(word)] for word in prompt]
        for word in text:
            share = 1.0 if word in frequent else rare.get(word, 1) / total
            logs.append(math.log(p(number[symbol(word)], tuple(line[-(ORDER - 1) :])) * share))
            line.append(number[symbol(word)])
    assert judge.perplexity(prompts, texts) == pytest.approx(math.exp(-np.mean(logs)), rel=1e-9)
    assert judge.perplexity([["a"]], [[]]) is None


def test_five_grams_of_the_largest_alphabet_fit_the_judge_s_codes():
    assert (generation_judge.MOST_SYMBOLS + 1) ** ORDER < 2**63


def slow_frechet(first: np.ndarray, second: np.ndarray) -> float:
    """The formula with matrix square roots."""
    covariances = [np.cov(each, rowvar=False) for each in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    distance = np.square(first.mean(0) - second.mean(0)).sum()
    return float(distance + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root))


@pytest.mark.parametrize("rows", [(40, 40), (60, 25)])
def test_frechet_distance_agrees_with_matrix_square_roots(rows):
    random = np.random.default_rng(3)
    first = random.normal(size=(rows[0], 6)) @ random.normal(size=(6, 6))
    second = random.normal(size=(rows[1], 6)) + 0.5
    assert frechet_distance(first, second) == pytest.approx(slow_frechet(first, second), rel=1e-6)


def test_frechet_distance_of_shifted_and_of_equal_sets():
    vectors = np.random.default_rng(4).normal(size=(5, 9))  # fewer texts than columns
    assert frechet_distance(vectors, vectors) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(vectors, vectors + 2) == pytest.approx(9 * 4)


def test_jackknife_interval_of_a_mean_is_the_textbook_interval():
    """Constant spread: the distance is the square of a mean difference, whose error follows from the delta method."""
    random = np.random.default_rng(5)
    first, second = random.normal(size=(50, 1)), random.normal(size=(50, 1)) + 3
    low, high = frechet_interval(first, second)
    distance = frechet_distance(first, second)
    assert low < distance < high
    error = 2 * abs((first - second).mean()) * (first - second).std(ddof=1) / 50**0.5
    assert (high - low) / 2 == pytest.approx(2.010 * error, rel=0.02)  # 97.5 % of Student's t with 49 degrees
