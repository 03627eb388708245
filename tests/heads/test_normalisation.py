"""Probabilities sum to one, as training and evaluation price them: heads, n-grams and the speller.

N positions, H hidden size, V vocabulary size.
"""

import itertools

import numpy as np
import pytest
import torch
from factories.models import H, made, systems
from numpy.testing import assert_allclose
from torch import Tensor

from bench.data.corpus import Corpus, build_corpus
from bench.data.vocabulary import Vocabulary
from bench.evaluation.block_scores import BlockScorer
from bench.evaluation.calibration import fit
from bench.evaluation.ranks import RankModel, count_ranks
from bench.heads import Head
from bench.models.count_model import CountModel
from bench.models.kneser_ney import KneserNey
from bench.models.spelling import END, ORDER, Speller

N = 8
END_OF_FEW = 3  # of the alphabet a, b, c and this


@pytest.fixture(scope="module")
def zipfian() -> Corpus:
    """50,100 types, each at least once, and 30,000 words that fall as 1 / rank."""
    types = 50_100
    zipf = 1 / np.arange(1, types + 1)
    words = np.random.default_rng(0).choice(types, 30_000, p=zipf / zipf.sum())
    train = [f"w{word}" for word in [*words, *range(types)]]
    return build_corpus("zipf", {"train": [train], "validation": [train[:500]], "test": [train[:100]]})


@pytest.fixture(scope="module", params=[100, 50_000])
def large(request, zipfian) -> Vocabulary:
    return Vocabulary(zipfian, request.param)


@pytest.fixture(params=systems())
def head(request, large) -> Head:
    return made(request.param, large)


@pytest.fixture
def hidden() -> Tensor:
    return 4 * torch.randn(N, H, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_the_evaluators_probabilities_sum_to_one_over_the_words(head, large, hidden):
    """Calibrated for all, raw for densities; `measure` prices every word at V = 100, else twenty spread over V."""
    scores, log_unigram = head.scores(hidden), torch.from_numpy(large.log_unigram)
    assert scores.dtype == torch.float32
    spread = np.linspace(0, len(large) - 1, 100 if len(large) == 100 else 20)
    words = torch.from_numpy(spread.astype(np.int64))
    calibration = fit(lambda: [(scores, words[:N])], log_unigram)
    ranks = RankModel(count_ranks(scores, words[:N], large.unk), len(large))
    ruler = BlockScorer(calibration, ranks, log_unigram, large.unk, torch.Generator())
    log_p = {2: calibration.logits(scores, log_unigram).log_softmax(1)}  # by the row of `measure` that has it
    if head.is_density:
        log_p[3] = scores.log_softmax(1)
    for figure, rows in log_p.items():
        assert_allclose(rows.exp().sum(1), 1, atol=1e-4)
        for row, logs in zip(scores, rows, strict=True):
            nats = ruler.measure(row.expand(len(words), -1), words)[figure]
            assert_allclose(nats, -logs[words], rtol=1e-4, atol=1e-4)
            if len(words) == len(large):
                assert_allclose((-nats).exp().sum(), 1, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("system", ["softmax", "adaptive_softmax"])
def test_what_training_descends_is_a_density_too(zipfian, hidden, system):
    vocabulary = Vocabulary(zipfian, 100)
    head = made(system, vocabulary)
    prices = torch.stack([head.loss(hidden[:1], torch.tensor([word])) for word in range(len(vocabulary))])
    assert_allclose((-prices).exp().sum(), 1, atol=1e-4)


@torch.no_grad()
def test_adaptive_scores_are_probabilities_as_they_stand(large, hidden):
    assert_allclose(made("adaptive_softmax", large).scores(hidden).exp().sum(1), 1, atol=1e-4)


@pytest.mark.parametrize("order", [1, 3])
def test_counted_scores_are_probabilities_as_they_stand(large, order):
    model = CountModel(corpus=large.corpus, vocabulary=large, order=order)
    seen = model.features(large.corpus.test.head(20), "test")
    unseen = torch.from_numpy(np.random.default_rng(0).integers(0, (len(large) + 1) ** (order - 1), (20, 1)))
    scores = model.scores(torch.cat([seen, unseen]))
    assert scores.dtype == torch.float32
    assert_allclose(scores.exp().sum(1), 1, atol=1e-4)


def test_all_strings_of_a_tiny_alphabet_and_the_unended_ones_weigh_one():
    """Over *every* string up to a length, and, by the chain's transition matrix, over those of all lengths."""
    words = [[0, 1, 0], [0, 1, 2], [2, 0, 1], [1], [0, 1]]
    ended_words = [np.array([*word, END_OF_FEW]) for word in words]
    model = KneserNey(ended_words, END_OF_FEW + 1, 3, weights=np.array([9, 3, 2, 1, 1]))

    def weight(symbols: tuple[int, ...]) -> float:
        line = np.array(symbols, np.int64)
        return float(model.probabilities(model.contexts(line, 2))[np.arange(len(line)), line].prod())

    contexts = np.arange(model.base**2)
    rows = model.probabilities(contexts)
    on = np.zeros((len(contexts), len(contexts)))  # from context to context
    for symbol in range(END_OF_FEW):
        on[contexts, contexts * model.base % model.base**2 + symbol] += rows[:, symbol]
    start = len(contexts) - 1  # two pads
    assert np.linalg.solve(np.eye(len(on)) - on, rows[:, END_OF_FEW])[start] == pytest.approx(1, abs=1e-12)
    slowest = np.linalg.matrix_power(on, 3).sum(1).max()  # the most that three more symbols leave of any tail
    ended, tails = 0.0, []
    for length in range(8):
        strings = list(itertools.product(range(END_OF_FEW), repeat=length))
        ended += sum(weight((*string, END_OF_FEW)) for string in strings)
        tails.append(sum(weight((*string, symbol)) for string in strings for symbol in range(END_OF_FEW)))
        assert ended + tails[-1] == pytest.approx(1, abs=1e-12)
    assert tails == sorted(tails, reverse=True) and tails[-1] < 1e-3
    assert all(later <= slowest * tail for tail, later in zip(tails, tails[3:], strict=False))


@pytest.mark.parametrize(("lightest", "beyond"), [(1e-4, 0.14), (1e-5, 0.06)])
def test_the_spellers_prices_and_the_pruned_prefixes_weigh_one(vocabulary, lightest, beyond):
    """Depth first over 257 symbols: prefixes lighter than `lightest` are not followed, and weigh `beyond` at most."""
    speller = Speller(vocabulary)
    ended = unspeakable = pruned = 0.0
    stack = [(b"", 1.0)]
    while stack:
        prefix, mass = stack.pop()
        line = np.append(np.frombuffer(prefix, np.uint8).astype(np.int64), END)
        row = mass * speller.model.probabilities(speller.model.contexts(line, ORDER - 1)[-1:])[0]
        try:
            ended += np.exp(-speller.nats(prefix.decode("utf-8", "surrogatepass")))
        except UnicodeDecodeError:  # bytes that are no string: no word can have them
            unspeakable += row[END]
        heavy = np.flatnonzero(row[:END] >= lightest)
        pruned += row[:END].sum() - row[heavy].sum()
        stack += [(prefix + bytes([symbol]), row[symbol]) for symbol in heavy]
    assert ended + unspeakable + pruned == pytest.approx(1, abs=1e-9)
    assert pruned < beyond and unspeakable < 1e-3
