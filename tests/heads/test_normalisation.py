"""Probabilities of heads, n-grams and the speller sum to one, as training and evaluation compute them.

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
STOP = 3  # end symbol after the alphabet 0, 1, 2


@pytest.fixture(scope="module")
def zipfian() -> Corpus:
    """Return a corpus of 50,100 types, each at least once, and 30,000 more words with frequencies ∝ 1 / rank."""
    types = 50_100
    zipf = 1 / np.arange(1, types + 1)
    words = np.random.default_rng(0).choice(types, 30_000, p=zipf / zipf.sum())
    train = [f"w{word}" for word in [*words, *range(types)]]
    return build_corpus("zipf", {"train": [train], "validation": [train[:500]], "test": [train[:100]]})


@pytest.fixture(scope="module", params=[100, 50_000])
def sized_vocabulary(request, zipfian) -> Vocabulary:
    return Vocabulary(zipfian, request.param)


@pytest.fixture(params=systems())
def head(request, sized_vocabulary) -> Head:
    return made(request.param, sized_vocabulary)


@pytest.fixture
def hidden() -> Tensor:
    return 4 * torch.randn(N, H, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_probabilities_in_evaluation_sum_to_one_over_the_vocabulary(head, sized_vocabulary, hidden):
    """Calibrated probabilities of every head, and raw probabilities of densities.

    `measure` is given all words at V = 100, otherwise twenty words spread over the vocabulary.
    """
    scores, log_unigram = head.scores(hidden), torch.from_numpy(sized_vocabulary.log_unigram)
    assert scores.dtype == torch.float32
    spread = np.linspace(0, len(sized_vocabulary) - 1, 100 if len(sized_vocabulary) == 100 else 20)
    words = torch.from_numpy(spread.astype(np.int64))
    calibration = fit(lambda: [(scores, words[:N])], log_unigram)
    ranks = RankModel(count_ranks(scores, words[:N], sized_vocabulary.unk), len(sized_vocabulary))
    scorer = BlockScorer(calibration, ranks, log_unigram, sized_vocabulary.unk, torch.Generator())
    log_p = {2: calibration.logits(scores, log_unigram).log_softmax(1)}  # key: row of the result of `measure`
    if head.is_density:
        log_p[3] = scores.log_softmax(1)
    for metric, distributions in log_p.items():
        assert_allclose(distributions.exp().sum(1), 1, atol=1e-4)
        for position_scores, position_log_p in zip(scores, distributions, strict=True):
            nats = scorer.measure(position_scores.expand(len(words), -1), words)[metric]
            assert_allclose(nats, -position_log_p[words], rtol=1e-4, atol=1e-4)
            if len(words) == len(sized_vocabulary):
                assert_allclose((-nats).exp().sum(), 1, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("system", ["softmax", "adaptive_softmax"])
def test_exponentials_of_training_losses_sum_to_one(zipfian, hidden, system):
    vocabulary = Vocabulary(zipfian, 100)
    head = made(system, vocabulary)
    losses = torch.stack([head.loss(hidden[:1], torch.tensor([word])) for word in range(len(vocabulary))])
    assert_allclose((-losses).exp().sum(), 1, atol=1e-4)


@torch.no_grad()
def test_scores_of_adaptive_softmax_are_log_probabilities(sized_vocabulary, hidden):
    assert_allclose(made("adaptive_softmax", sized_vocabulary).scores(hidden).exp().sum(1), 1, atol=1e-4)


@pytest.mark.parametrize("order", [1, 3])
def test_scores_of_n_grams_are_log_probabilities(sized_vocabulary, order):
    model = CountModel(corpus=sized_vocabulary.corpus, vocabulary=sized_vocabulary, order=order)
    seen = model.features(sized_vocabulary.corpus.test.head(20), "test")
    unseen = torch.from_numpy(np.random.default_rng(0).integers(0, (len(sized_vocabulary) + 1) ** (order - 1), (20, 1)))
    scores = model.scores(torch.cat([seen, unseen]))
    assert scores.dtype == torch.float32
    assert_allclose(scores.exp().sum(1), 1, atol=1e-4)


def test_probabilities_of_all_strings_over_three_symbols_sum_to_one():
    """Enumerate the strings up to a length, and the mass of longer strings; sum over all lengths by a linear system.

    The linear system has the transition matrix between contexts.
    """
    words = [[0, 1, 0], [0, 1, 2], [2, 0, 1], [1], [0, 1]]
    ended_words = [np.array([*word, STOP]) for word in words]
    model = KneserNey(ended_words, STOP + 1, 3, weights=np.array([9, 3, 2, 1, 1]))

    def probability(symbols: tuple[int, ...]) -> float:
        sequence = np.array(symbols, np.int64)
        return float(model.probabilities(model.context_codes(sequence, 2))[np.arange(len(sequence)), sequence].prod())

    contexts = np.arange(model.base**2)
    next_symbol = model.probabilities(contexts)  # [contexts, symbols]
    transition = np.zeros((len(contexts), len(contexts)))  # from context to context
    for symbol in range(STOP):
        transition[contexts, contexts * model.base % model.base**2 + symbol] += next_symbol[:, symbol]
    start = len(contexts) - 1  # two pads
    ended_from = np.linalg.solve(np.eye(len(contexts)) - transition, next_symbol[:, STOP])  # [contexts]
    assert ended_from[start] == pytest.approx(1, abs=1e-12)
    decay = np.linalg.matrix_power(transition, 3).sum(1).max()  # largest share of a tail that three more symbols leave
    ended, tails = 0.0, []  # mass of strings that ended; mass of longer strings, per length
    for length in range(8):
        strings = list(itertools.product(range(STOP), repeat=length))
        ended += sum(probability((*string, STOP)) for string in strings)
        tails.append(sum(probability((*string, symbol)) for string in strings for symbol in range(STOP)))
        assert ended + tails[-1] == pytest.approx(1, abs=1e-12)
    assert tails == sorted(tails, reverse=True) and tails[-1] < 1e-3
    assert all(later <= decay * tail for tail, later in zip(tails, tails[3:], strict=False))


def test_probabilities_of_spellings_and_pruned_prefixes_sum_to_one(vocabulary):
    """Search depth first over 257 symbols; prefixes below 1e-4 are pruned, together 0.14 at most."""
    speller = Speller(vocabulary)
    ended = undecodable = pruned = 0.0
    stack = [(b"", 1.0)]
    while stack:
        prefix, mass = stack.pop()
        sequence = np.append(np.frombuffer(prefix, np.uint8).astype(np.int64), END)
        masses = mass * speller.model.probabilities(speller.model.context_codes(sequence, ORDER - 1)[-1:])[0]
        try:
            ended += np.exp(-speller.nats(prefix.decode("utf-8", "surrogatepass")))
        except UnicodeDecodeError:  # bytes that no word has
            undecodable += masses[END]
        kept = np.flatnonzero(masses[:END] >= 1e-4)
        pruned += masses[:END].sum() - masses[kept].sum()
        stack += [(prefix + bytes([symbol]), masses[symbol]) for symbol in kept]
    assert ended + undecodable + pruned == pytest.approx(1, abs=1e-9)
    assert pruned < 0.14 and undecodable < 1e-3
