"""A language's own claims against brute force over words and against samples; models against the language."""

import itertools
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from factories.configurations import composed

from bench.core.environment import silence_libraries
from bench.core.errors import SettingError
from bench.core.record import Record
from bench.data.corpus import Corpus
from bench.data.markov_language import Language
from bench.data.sources.synthetic import synthetic
from bench.data.vocabulary import Vocabulary
from bench.data.words import tokenize
from bench.evaluation.generation import read_prompt
from bench.evaluation.score import EvaluationData, ScoredText, score, spelling_nats
from bench.models.count_model import CountModel
from bench.models.spelling import Speller
from bench.models.truth_model import TruthModel
from bench.run import run

SMALL = {"types": 300, "words": 60_000, "classes": 6, "concentration": 2.0, "seed": 3, "document_words": 500}


@pytest.fixture(scope="module")
def language() -> Language:
    return Language(types=200, classes=5, concentration=1.0, seed=1)


@pytest.fixture(scope="module")
def sample(language) -> np.ndarray:
    """600 documents. [D, 1000]"""
    return np.array(list(itertools.islice(language.documents(1000), 600)))


@pytest.mark.parametrize(("types", "classes"), [(200, 5), (3, 3), (100, 1), (7, 5)])
def test_rows_sum_to_one(types, classes):
    language = Language(types, classes, 0.5, 0)
    p = np.exp(language.log_probabilities(np.arange(classes**2)))
    assert p.shape == (classes**2, types)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
    assert p.min() > 0


def test_nats_of_a_word_are_those_of_its_row(language, sample):
    words = sample[0]
    contexts = language.contexts(words)
    classes = [0, 0, *language.class_of[words].tolist()]
    assert contexts.tolist() == [5 * c2 + c1 for c2, c1 in itertools.pairwise(classes[:-1])]
    rows = language.log_probabilities(contexts)
    np.testing.assert_allclose(language.nats(contexts, words), -rows[np.arange(len(words)), words], rtol=1e-12)


def test_entropy_rate_equals_that_of_the_chain_of_word_pairs():
    """A tiny language, as if nobody knew of its classes: all pairs of words, and the eigenvector of their chain."""
    language = Language(types=7, classes=3, concentration=1.0, seed=4)
    chain, bits = np.zeros((49, 49)), np.zeros(49)
    for u, v in itertools.product(range(7), repeat=2):
        row = np.exp(language.log_probabilities(language.contexts(np.array([u, v, 0]))[-1:]))[0]
        chain[7 * u + v, 7 * v : 7 * v + 7] = row
        bits[7 * u + v] = -(row * np.log2(row)).sum()
    values, vectors = np.linalg.eig(chain.T)
    stationary = vectors[:, values.real.argmax()].real
    assert language.entropy_rate_bits == pytest.approx(stationary / stationary.sum() @ bits, rel=1e-10)


def test_entropy_rate_equals_mean_nats_of_a_long_text(language, sample):
    nats = np.array([language.nats(language.contexts(words), words)[50:].mean() for words in sample])  # a document each
    error = nats.std(ddof=1) / math.sqrt(len(nats))
    assert error < 0.005
    assert abs(nats.mean() - language.entropy_rate_bits * math.log(2)) < 4 * error


def test_class_frequencies_after_pairs_equal_transitions(language, sample):
    contexts = np.concatenate([language.contexts(words) for words in sample])
    counts = np.bincount(contexts * 5 + language.class_of[sample.ravel()], minlength=125).reshape(25, 5)
    seen = counts.sum(1, keepdims=True)
    assert seen.min() > 500
    error = np.sqrt(language.transitions * (1 - language.transitions) / seen)
    assert (np.abs(counts / seen - language.transitions) < 5 * error + 1e-12).all()
    np.testing.assert_allclose(seen[:, 0] / seen.sum(), language.stationary, atol=0.005)


def test_words_of_a_class_are_drawn_by_their_share(language, sample):
    counts = np.bincount(sample.ravel(), minlength=200)
    for c in range(5):
        of_class = language.class_of == c
        total, share = counts[of_class].sum(), language.in_class[of_class]
        assert (np.abs(counts[of_class] - total * share) < 5 * np.sqrt(total * share)).all()


def test_every_class_has_words_of_all_frequencies(language):
    assert (np.sort(language.class_of.reshape(-1, 5), axis=1) == np.arange(5)).all()


def test_frequency_falls_as_one_over_rank():
    language = Language(types=1000, classes=16, concentration=2.0, seed=0)
    words = np.concatenate(list(itertools.islice(language.documents(1000), 500)))
    counts = np.sort(np.bincount(words, minlength=1000))[::-1]
    slope, _ = np.polyfit(np.log(np.arange(1, 501)), np.log(counts[:500]), 1)
    assert -1.1 < slope < -0.9


def test_text_of_a_seed_is_repeatable_and_a_prefix_of_longer_texts(language):
    few, many = (np.array(list(itertools.islice(language.documents(3000), count))) for count in (3, 200))
    assert (few == many[:3]).all()  # across batches of documents
    assert len(np.unique(many, axis=0)) == 200
    again = np.array(list(itertools.islice(Language(200, 5, 1.0, 1).documents(3000), 3)))
    other = np.array(list(itertools.islice(Language(200, 5, 1.0, 2).documents(3000), 3)))
    assert (again == few).all() and (other != few).mean() > 0.5


def test_memory_of_a_stream_does_not_grow_with_its_words(language):
    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in itertools.islice(language.documents(1000), count):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(300)  # what is made once
    assert peak(1500) < 1.2 * peak(300)


@pytest.mark.parametrize("types", [100, 1_000_000])
def test_spellings_are_distinct_for_any_number_of_types(types):
    language = Language(types, 16, 2.0, 0)
    assert math.log2(types) / 3 < language.entropy_rate_bits < math.log2(types)
    assert np.exp(language.log_probabilities(np.array([37]))).sum() == pytest.approx(1, rel=1e-9)
    words = np.concatenate(list(itertools.islice(language.documents(1000), 262)))
    assert words.min() == 0 and words.max() > 0.9 * types - 10
    assert len(set(language.words_of(np.arange(types)))) == types


def test_spellings_are_single_words_whose_ending_names_the_class():
    language = Language(types=6000, classes=80, concentration=2.0, seed=0)
    spellings = language.words_of(np.arange(6000))
    assert tokenize(" ".join(spellings)) == spellings
    endings = [{spelling[-2:] for spelling in itertools.compress(spellings, language.class_of == c)} for c in range(75)]
    assert all(len(each) == 1 for each in endings) and len(set.union(*endings)) == 75
    words = Language(types=6000, classes=8, concentration=2.0, seed=0).words_of(np.arange(6000))
    lengths = [len(word) for word in words]
    assert lengths == [4] * 75 + [6] * 75**2 + [8] * (6000 - 75 - 75**2)


def test_the_most_frequent_words_are_spelt_alike_for_every_seed():
    for types, seed in ((100, 0), (10_000, 7)):
        assert Language(types, 8, 1.0, seed).words_of(np.arange(8)) == [
            "baab", "bead", "biaf", "boag", "buah", "daak", "deal", "diam",
        ]  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Corpus:
    return synthetic(**SMALL)


def test_synthetic_corpus_is_the_text_of_its_language(made):
    language = made.language
    assert language == Language(300, 6, 2.0, 3)
    assert made.lexicon == language.words_of(made.language_words)
    texts = [getattr(made, split) for split in ("train", "validation", "test")]
    found = {made.language_words[document].tobytes() for text in texts for document in text.documents()}
    drawn = list(itertools.islice(language.documents(500), 120))
    assert found == {document.astype(made.language_words.dtype).tobytes() for document in drawn}
    assert made.counts.tolist() == np.bincount(made.train.words, minlength=len(made.lexicon)).tolist()
    assert (np.diff(made.counts) <= 0).all()


def test_lexicon_leaves_out_types_that_were_not_drawn():
    made = synthetic(**SMALL | {"types": 100_000, "words": 3000})
    assert len(made.lexicon) == len(set(made.lexicon)) < 3000


@pytest.mark.parametrize("classes", [1, 2, 8, 16])
def test_the_prompts_of_the_configuration_are_known(classes):
    prompts = composed("corpus=synthetic").generation.prompts
    corpus = synthetic(**SMALL | {"words": 5000, "classes": classes})
    assert [len(read_prompt(corpus, prompt, lowercase=True)) for prompt in prompts] == (
        [1, 3, 3, 4] if classes >= 8 else [1, classes, 1, 1]
    )


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("types", 1), ("types", 300.5), ("types", None), ("words", 1499), ("classes", 0), ("classes", 301),
        ("classes", 129), ("concentration", 0), ("concentration", "much"), ("seed", -1), ("document_words", 0),
    ],
)  # fmt: skip
def test_language_settings_out_of_bounds_are_refused(setting, value):
    with pytest.raises(SettingError, match=f"^corpus.{setting}: {value} is not "):
        synthetic(**SMALL | {setting: value})


@pytest.fixture(scope="module")
def evaluation_data(made) -> EvaluationData:
    vocabulary = Vocabulary(made, 120)
    return EvaluationData(
        vocabulary, Speller(vocabulary), made.validation, made.test, calibration_words=3000, search_words=1
    )


def truth_of(evaluation_data: EvaluationData) -> TruthModel:
    return TruthModel(corpus=evaluation_data.vocabulary.corpus, vocabulary=evaluation_data.vocabulary)


@pytest.fixture(scope="module")
def truth(evaluation_data) -> ScoredText:
    return score(truth_of(evaluation_data), evaluation_data)


def exact_nats(evaluation_data: EvaluationData) -> np.ndarray:
    """Of the test words, document by document from rows over all types."""
    corpus = evaluation_data.vocabulary.corpus
    documents = [corpus.language_words[document] for document in evaluation_data.test.documents()]
    rows = [corpus.language.log_probabilities(corpus.language.contexts(document)) for document in documents]
    return np.concatenate([-row[np.arange(len(row)), words] for row, words in zip(rows, documents, strict=True)])


@pytest.mark.parametrize("size", [2, 120, 299])
def test_unk_has_the_probability_of_all_words_without_an_id(made, size):
    vocabulary, language = Vocabulary(made, size), made.language
    model = TruthModel(corpus=made, vocabulary=vocabulary)
    rows = model.scores(torch.arange(36)[:, None])
    assert rows.dtype == torch.float32
    np.testing.assert_allclose(rows.double().exp().sum(1), 1, atol=1e-6)
    p = np.exp(language.log_probabilities(np.arange(36)))
    known = [language.words_of(np.arange(300)).index(word) for word in vocabulary.words if word != "<unk>"]
    assert len(known) == size - 1
    ids = np.delete(np.arange(size), vocabulary.unk)
    np.testing.assert_allclose(rows[:, ids].double().exp(), p[:, known], rtol=1e-5)
    np.testing.assert_allclose(rows[:, vocabulary.unk].double().exp(), np.delete(p, known, axis=1).sum(1), rtol=1e-5)


def test_nats_of_the_true_model_are_those_of_the_language(evaluation_data, truth):
    exact = exact_nats(evaluation_data)
    assert (truth.word == evaluation_data.vocabulary.unk).sum() > 500
    np.testing.assert_allclose(truth.raw_nats, exact, rtol=1e-5)
    assert truth.nats.mean() == pytest.approx(exact.mean(), abs=0.005)


def test_true_model_needs_no_calibration(truth):
    assert truth.calibration.scale == pytest.approx(1, abs=0.1)
    assert truth.calibration.prior == pytest.approx(0, abs=0.1)


def test_word_without_an_id_costs_its_share_of_unk(evaluation_data):
    model, vocabulary = truth_of(evaluation_data), evaluation_data.vocabulary
    prices = spelling_nats(model, evaluation_data, evaluation_data.test)
    hidden = vocabulary.encode(evaluation_data.test.words) == vocabulary.unk
    assert prices.dtype == np.float32
    assert not prices[~hidden].any() and (prices[hidden] > 0).all()
    unk = model.scores(model.features(evaluation_data.test, "test"))[:, vocabulary.unk].numpy()
    np.testing.assert_allclose(prices[hidden] - unk[hidden], exact_nats(evaluation_data)[hidden], rtol=1e-5)


def test_count_model_is_worse_than_the_true_model(evaluation_data, truth):
    parts = {"corpus": evaluation_data.vocabulary.corpus, "vocabulary": evaluation_data.vocabulary}
    trigram, unigram = (score(CountModel(**parts, order=order), evaluation_data).nats.mean() for order in (3, 1))
    assert truth.nats.mean() + 0.1 < trigram < unigram - 0.1


def test_true_model_of_other_texts_is_refused(corpus, vocabulary):
    with pytest.raises(SettingError, match=r"^system: truth is known only of corpus=synthetic"):
        TruthModel(corpus=corpus, vocabulary=vocabulary)


def cell(folder: Path, system: str, words: int) -> Record:
    settings = [
        f"system={system}", f"results_dir={folder}", f"budget.words={words}", "corpus=synthetic", "corpus.types=200",
        "corpus.train_words=null", "corpus.classes=4", "corpus.concentration=1", "corpus.words=200000",
        "vocabulary.size=200", "trainer=cpu",
        "backbone.trunk.hidden_size=64", "batch.streams=8", "batch.steps=20", "logger=none", "generation.words=1",
        "corpus.train_words=null",
    ]  # fmt: skip
    return run(composed(*settings))


def test_trained_softmax_is_close_to_the_true_model(tmp_path):
    silence_libraries()
    truth, short, long = (cell(tmp_path, *each) for each in (("truth", 1), ("softmax", 10_000), ("softmax", 100_000)))
    excess = [math.log(each.word_perplexity / truth.word_perplexity) for each in (short, long)]  # nats a word
    assert truth.entropy_rate_bits == short.entropy_rate_bits
    assert math.log2(truth.word_perplexity) == pytest.approx(truth.entropy_rate_bits, abs=0.03)
    assert 0 < excess[1] < 0.05 < 0.15 < excess[0]
