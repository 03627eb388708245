"""What single heads promise beyond the contract, against slow or other implementations."""

import math

import pytest
import torch
import torch.nn.functional as F

from bench.errors import SettingError
from bench.heads.adaptive_softmax import AdaptiveSoftmaxHead
from bench.heads.cosine import CosineHead
from bench.heads.mse import MSEHead
from bench.heads.sampled_softmax import SampledSoftmaxHead, draw, expected_count, sampled_loss
from bench.heads.softmax import SoftmaxHead
from bench.targets import Targets

N, H, D = 40, 16, 8


@pytest.fixture
def hidden() -> torch.Tensor:
    return torch.randn(N, H, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def words(vocabulary) -> torch.Tensor:
    return torch.randint(len(vocabulary), (N,), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def targets(vocabulary) -> Targets:
    return Targets("random", "type", torch.randn(len(vocabulary), D, generator=torch.Generator().manual_seed(2)))


def test_an_untrained_softmax_with_no_signal_is_the_unigram(vocabulary):
    head = SoftmaxHead(hidden_size=H, vocabulary=vocabulary)
    torch.testing.assert_close(head.scores(torch.zeros(1, H))[0], torch.from_numpy(vocabulary.log_unigram))


def test_sampling_every_class_is_full_cross_entropy(vocabulary, hidden, words):
    size = len(vocabulary)
    head = SoftmaxHead(hidden_size=H, vocabulary=vocabulary)
    everything, sure = torch.arange(size), torch.ones(size, dtype=torch.float64)
    sampled = sampled_loss(hidden, words, everything, head.words.weight, head.words.bias, sure[words], sure)
    torch.testing.assert_close(sampled, F.cross_entropy(head.scores(hidden), words), rtol=0, atol=1e-5)


def test_draws_are_distinct_and_as_frequent_as_expected():
    torch.manual_seed(0)
    size, samples, rounds = 50, 20, 3000
    counts, tries = torch.zeros(size), []
    for _ in range(rounds):
        ids, tried = draw(samples, size, torch.device("cpu"))
        assert len(ids.unique()) == samples == len(ids)
        counts[ids] += 1
        tries.append(tried)
    expected = torch.stack([expected_count(torch.arange(size), size, tried) for tried in tries]).mean(0)
    # the tries are chosen so that `samples` come out: the formula's known bias is a few percent
    torch.testing.assert_close(counts / rounds, expected.float(), rtol=0.08, atol=0.01)


def test_expected_count_is_the_chance_to_be_drawn_at_all():
    q = math.log((3 + 2) / (3 + 1)) / math.log(101)
    assert float(expected_count(torch.tensor([3]), 100, 7)) == pytest.approx(1 - (1 - q) ** 7, rel=1e-12)
    assert float(expected_count(torch.arange(100), 100, 1).sum()) == pytest.approx(1, rel=1e-12)


def test_an_accidental_hit_does_not_count_twice(vocabulary, hidden, words):
    head = SoftmaxHead(hidden_size=H, vocabulary=vocabulary)
    negatives, ones = (
        torch.stack([words[0], (words[0] + 1) % len(vocabulary)]),
        torch.ones(2, dtype=torch.float64),
    )
    loss = sampled_loss(hidden[:1], words[:1], negatives, head.words.weight, head.words.bias, ones[:1], ones)
    logits = head.scores(hidden[:1])[0]
    expected = torch.logaddexp(logits[negatives[0]], logits[negatives[1]]) - logits[negatives[0]]
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("samples", [0, 200, 10**6])
def test_as_many_samples_as_words_are_refused(vocabulary, samples):
    with pytest.raises(SettingError, match=r"^system\.head\.samples"):
        SampledSoftmaxHead(hidden_size=H, vocabulary=vocabulary, samples=samples)


def test_adaptive_loss_is_that_of_its_scores(vocabulary, hidden, words):
    head = AdaptiveSoftmaxHead(hidden_size=H, vocabulary=vocabulary, cutoffs=[0.1, 0.5], narrowing=2.0)
    torch.testing.assert_close(head.loss(hidden, words), F.nll_loss(head.scores(hidden), words))


@pytest.mark.parametrize(("cutoffs", "narrowing"), [([0.5, 0.5], 2.0), ([1.0], 2.0), ([], 2.0), ([0.1, 0.5], 16.0)])
def test_adaptive_refuses_empty_clusters_and_empty_projections(vocabulary, cutoffs, narrowing):
    with pytest.raises(SettingError, match=r"^system\.head\.(cutoffs|narrowing)"):
        AdaptiveSoftmaxHead(hidden_size=H, vocabulary=vocabulary, cutoffs=cutoffs, narrowing=narrowing)


def test_mse_ranks_by_distance_and_descends_it(vocabulary, hidden, words, targets):
    head = MSEHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    predicted = head.projection(hidden)
    distances = torch.cdist(predicted, targets.table).square()
    torch.testing.assert_close(
        head.scores(hidden), predicted.square().sum(1, keepdim=True) - distances, rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(head.loss(hidden, words), D * F.mse_loss(predicted, targets.table[words]))
    vectors = torch.randn(N, D)
    torch.testing.assert_close(head.loss(hidden, words, vectors), D * F.mse_loss(predicted, vectors))


def test_cosine_is_torchs_cosine(vocabulary, hidden, words, targets):
    head = CosineHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    predicted = head.projection(hidden)
    expected = F.cosine_similarity(predicted[:, None], targets.table[None], dim=-1)
    torch.testing.assert_close(head.scores(hidden), expected)
    torch.testing.assert_close(
        head.loss(hidden, words), F.cosine_embedding_loss(predicted, targets.table[words], torch.ones(N))
    )


def test_a_regressor_begins_at_the_mean_target(vocabulary, targets):
    head = CosineHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    shares = torch.from_numpy(vocabulary.counts / vocabulary.counts.sum()).float()
    torch.testing.assert_close(head.projection(torch.zeros(1, H))[0], shares @ targets.table)
