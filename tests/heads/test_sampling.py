"""The log-uniform sampler against exact chances, sampled softmax against the full one.

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
from bench.heads.sampled_softmax import SampledSoftmaxHead, draw, expected_count, sampled_loss

N, H = 64, 16
CPU = torch.device("cpu")
UNLIKELY = 1e-4  # a chance below which a test rejects


def chances(size: int) -> np.ndarray:
    """Of one log-uniform draw: log((i + 2) / (i + 1)) / log(V + 1). [V]"""
    i = np.arange(size)
    return np.log((i + 2) / (i + 1)) / math.log(size + 1)


def test_single_draws_are_log_uniform():
    torch.manual_seed(0)
    size, rounds = 40, 20_000
    drawn = torch.cat([draw(1, size, CPU)[0] for _ in range(rounds)])
    counts = drawn.bincount(minlength=size).numpy()
    assert chances(size).sum() == pytest.approx(1, abs=1e-12)
    assert chisquare(counts, chances(size) * rounds).pvalue > UNLIKELY
    assert chisquare(counts, np.full(size, rounds / size)).pvalue < UNLIKELY


def test_sets_of_distinct_draws_are_as_likely_as_drawing_one_after_the_other_makes_them():
    torch.manual_seed(0)
    size, samples, rounds = 6, 3, 20_000
    q = chances(size)
    expected = dict.fromkeys(itertools.combinations(range(size), samples), 0.0)
    for first, second, third in itertools.permutations(range(size), samples):
        chance = q[first] * q[second] / (1 - q[first]) * q[third] / (1 - q[first] - q[second])
        expected[tuple(sorted((first, second, third)))] += chance
    drawn = [tuple(sorted(draw(samples, size, CPU)[0].tolist())) for _ in range(rounds)]
    counts = [drawn.count(ids) for ids in expected]
    assert sum(counts) == rounds
    assert chisquare(counts, rounds * np.array(list(expected.values()))).pvalue > UNLIKELY


def test_the_expected_count_is_that_of_so_many_tries():
    torch.manual_seed(0)
    size, tries, rounds = 50, 30, 10_000
    drawn = torch.multinomial(torch.from_numpy(chances(size)), rounds * tries, replacement=True).view(rounds, tries)
    held = torch.zeros(rounds, size).scatter_(1, drawn, 1.0).mean(0).double()
    expected = expected_count(torch.arange(size), size, tries)
    noise = (expected * (1 - expected) / rounds).sqrt()
    assert ((held - expected) / noise).abs().max() < 4


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
    # the tries are chosen so that `samples` come out: the formula's known bias is a few percent
    assert_close(counts / rounds, expected.float(), rtol=0.08, atol=0.01)


def test_expected_count_is_the_chance_to_be_drawn_at_all():
    q = math.log((3 + 2) / (3 + 1)) / math.log(101)
    assert float(expected_count(torch.tensor([3]), 100, 7)) == pytest.approx(1 - (1 - q) ** 7, rel=1e-12)
    assert float(expected_count(torch.arange(100), 100, 1).sum()) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("samples", [0, 200, 10**6])
def test_as_many_samples_as_words_are_refused(vocabulary, samples):
    with pytest.raises(SettingError, match=r"^system\.head\.samples"):
        SampledSoftmaxHead(hidden_size=H, vocabulary=vocabulary, samples=samples)


@pytest.fixture
def layer() -> tuple[list[Tensor], Tensor]:
    """Hidden states [N, H], weights [V, H] and biases [V] that gradients reach, and Zipfian words [N]; V = 300."""
    size, generator = 300, torch.Generator().manual_seed(0)
    zipf = 1 / torch.arange(1.0, size + 1)
    hidden, weight = torch.randn(N, H, generator=generator), torch.randn(size, H, generator=generator) / 2
    bias = zipf.log() + 0.3 * torch.randn(size, generator=generator)
    words = torch.multinomial(zipf, N, replacement=True, generator=generator)
    return [each.requires_grad_() for each in (hidden, weight, bias)], words


def full_loss(leaves: list[Tensor], words: Tensor) -> Tensor:
    hidden, weight, bias = leaves
    return F.cross_entropy(hidden @ weight.T + bias, words)


def test_sampling_every_class_is_full_cross_entropy_in_value_and_gradient(layer):
    leaves, words = layer
    size = len(leaves[2])
    everything, sure = torch.randperm(size), torch.ones(size, dtype=torch.float64)
    sampled = sampled_loss(leaves[0], words, everything, *leaves[1:], sure[words], sure)
    full = full_loss(leaves, words)
    assert_close(sampled, full, rtol=0, atol=1e-5)
    ours, theirs = torch.autograd.grad(sampled, leaves), torch.autograd.grad(full, leaves)
    assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert min(gradient.abs().max() for gradient in theirs) > 1e-3


def test_an_accidental_hit_does_not_count_twice(layer):
    (hidden, weight, bias), words = layer
    negatives = torch.stack([words[0], (words[0] + 1) % len(bias)])
    ones = torch.ones(2, dtype=torch.float64)
    loss = sampled_loss(hidden[:1], words[:1], negatives, weight, bias, ones[:1], ones)
    logits = hidden[0] @ weight.T + bias
    assert_close(loss, torch.logaddexp(logits[negatives[0]], logits[negatives[1]]) - logits[negatives[0]])


@pytest.mark.parametrize("seed", [0, 1])
def test_the_bias_of_the_gradient_falls_as_samples_approach_v(vocabulary, seed):
    """Relative to the full gradient, from two halves of the draws: their noise is independent, so it cancels."""
    torch.manual_seed(seed)
    hidden = 4 * torch.randn(N, H, requires_grad=True)
    words = torch.multinomial(torch.from_numpy(vocabulary.log_unigram).exp(), N, replacement=True)
    head = SampledSoftmaxHead(hidden_size=H, vocabulary=vocabulary, samples=16)
    (full,) = torch.autograd.grad(F.cross_entropy(head.scores(hidden), words), hidden)
    biases, noises = [], []
    for head.samples, rounds in {16: 1000, 64: 1000, 128: 1000, 199: 100}.items():
        off = torch.zeros(2, N, H)
        for each in range(rounds):
            off[each % 2] += (torch.autograd.grad(head.loss(hidden, words), hidden)[0] - full) / (rounds // 2)
        biases.append(float((off[0] * off[1]).sum().clamp_min(0).sqrt() / full.norm()))
        noises.append(float((off[0] - off[1]).norm() / 2 / full.norm()))
    for fewer, more in itertools.pairwise(range(4)):
        assert biases[more] + 3 * noises[more] < biases[fewer]
