"""Metrics against the definitions of other libraries: lm-evaluation-harness, torchmetrics, scikit-learn and faiss.

The comparison of n-grams with nltk is in tests/models/test_count_model.py.
"""

import math

import faiss
import numpy as np
import pytest
import torch
from factories.models import tiny_corpus
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import top_k_accuracy_score
from torchmetrics.text import Perplexity
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from bench.data.subwords import BOUNDARY, learn
from bench.data.vocabulary import Vocabulary
from bench.evaluation.quality import quality
from bench.evaluation.score import EvaluationData, ScoredText, score
from bench.evaluation.subword_nats import score_words, word_nats
from bench.heads.cosine import CosineHead
from bench.heads.mse import MSEHead
from bench.heads.softmax import SoftmaxHead
from bench.models.backbones.rnn import RNN
from bench.models.causal_lm import SubwordModel
from bench.models.spelling import Speller
from bench.models.word_batches import Inputs
from bench.models.word_model import WordModel
from bench.targets.tables import Targets

H, D = 16, 24
CONTEXT = 256  # longer than any document


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Checkpoint folder of a GPT-2 with random weights, large enough that pieces differ in probability."""
    checkpoint = tmp_path_factory.mktemp("gpt2")
    tokenizer = learn(tiny_corpus(), 290)
    tokenizer.save_pretrained(checkpoint)
    torch.manual_seed(0)
    ends = dict.fromkeys(("bos_token_id", "eos_token_id"), tokenizer.eos_token_id)
    sizes = {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": CONTEXT, "initializer_range": 0.3}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **sizes, **ends)).save_pretrained(checkpoint)
    return checkpoint


@torch.no_grad()
def rolling(folder, documents: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Compute lm-evaluation-harness's `loglikelihood_rolling`: each document whole, after an end of text.

    Returns:
        The log-likelihood of each document [D], and log p("a word begins") before and after it. [D, 2]
    """
    model = AutoModelForCausalLM.from_pretrained(folder).double().eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    begins = [i for token, i in tokenizer.get_vocab().items() if token.startswith("Ġ") or token == BOUNDARY]
    totals, edges = [], []
    for document in documents:
        pieces = tokenizer.encode(document, add_special_tokens=False)
        line = torch.tensor([tokenizer.eos_token_id, *pieces])
        assert len(line) <= CONTEXT
        logs = model(line[None]).logits[0].log_softmax(-1)
        totals.append(float(logs[:-1].gather(1, line[1:, None]).sum()))
        edges.append(logs[[0, -1]][:, begins].logsumexp(1).tolist())
    return np.array(totals), np.array(edges)


def weighted_mean(loglikelihoods: np.ndarray, weights: np.ndarray) -> float:
    """Return `weighted_mean` of lm_eval.api.metrics."""
    return loglikelihoods.sum() / weights.sum()


def test_figures_equal_lm_evaluation_harness_except_at_edges_of_documents(folder):
    """Bytes are those of the words and of one separator per word, the leading space."""
    corpus = tiny_corpus()
    shape = {"layers": 0, "width": 0, "attention_heads": 0, "pieces": 0, "dropout": 0.0, "context": CONTEXT}
    model = SubwordModel(corpus=corpus, pretrained=str(folder), batch_size=1, lr=0.0, weight_decay=0.0, **shape)
    text, vocabulary = corpus.test, Vocabulary(corpus, 50)
    documents = ["".join(" " + word for word in corpus.words_of(document)) for document in text.documents()]
    totals, edges = rolling(folder, documents)
    words = np.array([len(document.split()) for document in documents])
    sizes = np.array([len(document.encode("utf-8")) for document in documents])

    ours = np.add.reduceat(word_nats(model, text), text.starts[:-1])  # [D]
    masses = edges[:, 0] - edges[:, 1]  # the sum of word-initial masses over a document telescopes to this difference
    assert np.abs(masses).min() > 1e-3
    assert_allclose(ours, -totals + masses, rtol=1e-6)

    figures = quality(
        ScoredText(**score_words(model, text, vocabulary, search_words=3)), vocabulary, text, search_words=3
    )
    assert figures["test_bytes"] == sizes.sum()
    corrected = totals - masses
    for loglikelihoods, factor in ((corrected, 1.0), (totals, math.exp(masses.sum() / words.sum()))):
        word_perplexity = math.exp(-weighted_mean(loglikelihoods, words))
        assert figures["word_perplexity"] == pytest.approx(word_perplexity * factor, rel=1e-6)
    bits_per_byte = -weighted_mean(totals, sizes) / math.log(2)
    assert figures["bits_per_byte"] == pytest.approx(bits_per_byte + masses.sum() / math.log(2) / sizes.sum(), rel=1e-6)
    byte_perplexity = math.exp(-weighted_mean(corrected, sizes))
    assert 2 ** figures["bits_per_byte"] == pytest.approx(byte_perplexity, rel=1e-6)


@pytest.fixture(scope="module")
def softmax(corpus, vocabulary):
    """Logits of a softmax head for the test words, ids of these words, and the quality figures."""
    torch.manual_seed(0)
    trunk = RNN(cell=torch.nn.GRU, hidden_size=H, layers=1, dropout=0.0, vocabulary_size=len(vocabulary))
    head = SoftmaxHead(hidden_size=H, vocabulary=vocabulary)
    with torch.no_grad():
        head.words.weight.mul_(10)
    model = WordModel(trunk, head, Inputs(vocabulary), lr=0.0, weight_decay=0.0)
    evaluation_data = EvaluationData(vocabulary, Speller(vocabulary), corpus.validation, corpus.test, 500, 50)
    with torch.no_grad():
        logits = head.scores(model.features(corpus.test, "test"))
    words = torch.from_numpy(vocabulary.encode(corpus.test.words).astype(np.int64))
    return logits, words, quality(score(model, evaluation_data), vocabulary, corpus.test, search_words=50)


def test_closed_perplexity_of_softmax_equals_torchmetrics(softmax, vocabulary):
    logits, words, figures = softmax
    expected = float(Perplexity(ignore_index=vocabulary.unk)(logits[None], words[None]))
    assert figures["raw_closed_perplexity"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_accuracy_of_softmax_equals_scikit_learn(softmax, vocabulary, k):
    logits, words, figures = softmax
    known = words != vocabulary.unk
    candidates = np.delete(np.arange(len(vocabulary)), vocabulary.unk)
    hits = top_k_accuracy_score(words[known], logits[known][:, candidates], k=k, labels=candidates, normalize=False)
    assert hits > 0
    assert figures[f"accuracy_at_{k}"] == hits / len(words)


@pytest.mark.parametrize("kind", [CosineHead, MSEHead])
def test_nearest_words_of_regressors_equal_faiss(vocabulary, kind):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(len(vocabulary), D, generator=generator)
    head = kind(hidden_size=H, vocabulary=vocabulary, targets=Targets("random", "type", rows))
    hidden = torch.randn(64, H, generator=generator)
    with torch.no_grad():
        predicted, (scores, words) = head.projection(hidden).numpy(), head.scores(hidden).topk(10)
    table = rows.numpy().copy()
    index = faiss.IndexFlatIP(D) if kind is CosineHead else faiss.IndexFlatL2(D)
    if kind is CosineHead:
        faiss.normalize_L2(table), faiss.normalize_L2(predicted)
    index.add(table)
    values, neighbours = index.search(predicted, 10)
    assert_array_equal(words, neighbours)
    expected = values if kind is CosineHead else np.square(predicted).sum(1, keepdims=True) - values
    assert_allclose(scores, expected, rtol=1e-5, atol=1e-4)
