"""Log-uniform sampler, compared with exact probabilities; sampled softmax, compared with full softmax.

N positions, H hidden size, V vocabulary size, k samples.
"""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from torch import Tensor
from torch.testing import assert_close

from bench.core.errors import SettingError
from bench.heads.kernels.sampled_cross_entropy import sampled_cross_entropy
from bench.heads.sampled_softmax import SampledSoftmaxHead, draw, expected_count

N, H = 64, 16
CPU = torch.device("cpu")
SIGNIFICANCE = 1e-4  # p-value below which a test rejects: false alarms are rare, and the seeds are fixed


def log_uniform(size: int) -> np.ndarray:
    """Return the probabilities of one log-uniform draw: q(i) = log((i + 2) / (i + 1)) / log(V + 1). [V]"""
    i = np.arange(size)
    return np.log((i + 2) / (i + 1)) / math.log(size + 1)


def test_single_draws_are_log_uniform():
    torch.manual_seed(0)
    size, rounds = 40, 20_000
    drawn = torch.cat([draw(1, size, CPU)[0] for _ in range(rounds)])
    counts = drawn.bincount(minlength=size).numpy()
    assert log_uniform(size).sum() == pytest.approx(1, abs=1e-12)
    assert chisquare(counts, log_uniform(size) * rounds).pvalue > SIGNIFICANCE
    assert chisquare(counts, np.full(size, rounds / size)).pvalue < SIGNIFICANCE


def test_sets_of_distinct_draws_have_the_probabilities_of_draws_without_replacement():
    torch.manual_seed(0)
    size, samples, rounds = 6, 3, 20_000
    q = log_uniform(size)
    expected = dict.fromkeys(itertools.combinations(range(size), samples), 0.0)
    for first, second, third in itertools.permutations(range(size), samples):
        probability = q[first] * q[second] / (1 - q[first]) * q[third] / (1 - q[first] - q[second])
        expected[tuple(sorted((first, second, third)))] += probability
    drawn = [tuple(sorted(draw(samples, size, CPU)[0].tolist())) for _ in range(rounds)]
    counts = [drawn.count(ids) for ids in expected]
    assert sum(counts) == rounds
    assert chisquare(counts, rounds * np.array(list(expected.values()))).pvalue > SIGNIFICANCE


def test_expected_count_equals_frequency_of_ids_among_draws():
    torch.manual_seed(0)
    size, tries, rounds = 50, 30, 10_000
    drawn = torch.multinomial(torch.from_numpy(log_uniform(size)), rounds * tries, replacement=True).view(rounds, tries)
    frequency = torch.zeros(rounds, size).scatter_(1, drawn, 1.0).mean(0).double()
    expected = expected_count(torch.arange(size), size, tries)
    error = (expected * (1 - expected) / rounds).sqrt()
    assert ((frequency - expected) / error).abs().max() < 4


def test_draws_are_distinct_and_as_frequent_as_expected():
    torch.manual_seed(0)
    size, samples, rounds = 50, 20, 3000
    counts, tries = torch.zeros(size), []
    for _ in range(rounds):
        ids, tried = draw(samples, size, CPU)
        assert len(ids.unique()) == samples == len(ids)
        counts[ids] += 1
        tries.append(tried)
    expected = torch.stack([expected_count(torch.arange(size), size, tried) for tried in tries]).mean(0)
    # the number of tries depends on the draws, which biases the formula by a few percent
    assert_close(counts / rounds, expected.float(), rtol=0.08, atol=0.01)


def test_expected_count_is_the_probability_of_at_least_one_draw():
    q = math.log((3 + 2) / (3 + 1)) / math.log(101)
    assert float(expected_count(torch.tensor([3]), 100, 7)) == pytest.approx(1 - (1 - q) ** 7, rel=1e-12)
    assert float(expected_count(torch.arange(100), 100, 1).sum()) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("samples", [0, 200, 10**6])
def test_head_raises_when_samples_are_none_or_not_fewer_than_words(vocabulary, samples):
    with pytest.raises(SettingError, match=r"^system\.head\.samples"):
        SampledSoftmaxHead(hidden_size=H, vocabulary=vocabulary, samples=samples)


@pytest.fixture
def inputs() -> tuple[list[Tensor], Tensor]:
    """Return the leaves hidden [N, H], weight [V, H] and bias [V], and Zipfian words [N]; V = 300."""
    size, generator = 300, torch.Generator().manual_seed(0)
    zipf = 1 / torch.arange(1.0, size + 1)
    hidden, weight = torch.randn(N, H, generator=generator), torch.randn(size, H, generator=generator) / 2
    bias = zipf.log() + 0.3 * torch.randn(size, generator=generator)
    words = torch.multinomial(zipf, N, replacement=True, generator=generator)
    return [leaf.requires_grad_() for leaf in (hidden, weight, bias)], words


def full_loss(leaves: list[Tensor], words: Tensor) -> Tensor:
    hidden, weight, bias = leaves
    return F.cross_entropy(hidden @ weight.T + bias, words)


def test_value_and_gradients_equal_full_cross_entropy_when_all_words_are_sampled(inputs):
    leaves, words = inputs
    size = len(leaves[2])
    every_word, offsets = torch.randperm(size), torch.zeros(size, dtype=torch.float64)  # expected counts of 1
    sampled = sampled_cross_entropy(*leaves, words, every_word, offsets[words], offsets, row_sparse=False)
    full = full_loss(leaves, words)
    assert_close(sampled, full, rtol=0, atol=1e-5)
    computed, expected = torch.autograd.grad(sampled, leaves), torch.autograd.grad(full, leaves)
    assert_close(computed, expected, rtol=0, atol=1e-5)
    assert min(gradient.abs().max() for gradient in expected) > 1e-3


def test_negative_that_equals_the_true_word_is_left_out(inputs):
    (hidden, weight, bias), words = inputs
    negatives = torch.stack([words[0], (words[0] + 1) % len(bias)])
    offsets = torch.zeros(2, dtype=torch.float64)
    chosen = words[:1], negatives, offsets[:1], offsets
    loss = sampled_cross_entropy(hidden[:1], weight, bias, *chosen, row_sparse=False)
    logits = hidden[0] @ weight.T + bias
    assert_close(loss, torch.logaddexp(logits[negatives[0]], logits[negatives[1]]) - logits[negatives[0]])


def test_bias_of_the_gradient_falls_as_samples_approach_v(vocabulary):
    """Estimate the bias relative to the full gradient.

    The two halves of the rounds have independent noise, which cancels in the product of their mean deviations.
    """
    torch.manual_seed(0)
    hidden = 4 * torch.randn(N, H, requires_grad=True)
    words = torch.multinomial(torch.from_numpy(vocabulary.log_unigram).exp(), N, replacement=True)
    head = SampledSoftmaxHead(hidden_size=H, vocabulary=vocabulary, samples=16)
    (full,) = torch.autograd.grad(F.cross_entropy(head.scores(hidden), words), hidden)
    biases, noises = [], []
    for head.samples, rounds in {16: 1000, 64: 1000, 128: 1000, 199: 100}.items():
        deviations = torch.zeros(2, N, H)  # mean of each half of the rounds
        for number in range(rounds):
            deviations[number % 2] += (torch.autograd.grad(head.loss(hidden, words), hidden)[0] - full) / (rounds // 2)
        biases.append(float((deviations[0] * deviations[1]).sum().clamp_min(0).sqrt() / full.norm()))
        noises.append(float((deviations[0] - deviations[1]).norm() / 2 / full.norm()))
    for fewer, more in itertools.pairwise(range(4)):
        assert biases[more] + 3 * noises[more] < biases[fewer]
