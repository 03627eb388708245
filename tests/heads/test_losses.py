"""Losses and scores of single heads against slow or other implementations; see also test_sampling and test_noise."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from factories.models import excess_over_unigram, made
from scipy.special import ive

from bench.core.errors import SettingError
from bench.heads.adaptive_softmax import AdaptiveSoftmaxHead
from bench.heads.cosine import CosineHead
from bench.heads.mse import MSEHead
from bench.heads.softmax import SoftmaxHead
from bench.heads.vmf import VMFHead
from bench.targets.tables import Targets

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


def test_adaptive_loss_is_the_nll_of_its_scores(vocabulary, hidden, words):
    head = AdaptiveSoftmaxHead(hidden_size=H, vocabulary=vocabulary, cutoffs=[0.1, 0.5], narrowing=2.0)
    torch.testing.assert_close(head.loss(hidden, words), F.nll_loss(head.scores(hidden), words))


@pytest.mark.parametrize(("cutoffs", "narrowing"), [([0.5, 0.5], 2.0), ([1.0], 2.0), ([], 2.0), ([0.1, 0.5], 16.0)])
def test_adaptive_refuses_empty_clusters_and_empty_projections(vocabulary, cutoffs, narrowing):
    with pytest.raises(SettingError, match=r"^system\.head\.(cutoffs|narrowing)"):
        AdaptiveSoftmaxHead(hidden_size=H, vocabulary=vocabulary, cutoffs=cutoffs, narrowing=narrowing)


def test_mse_minimises_and_ranks_by_the_squared_distance(vocabulary, hidden, words, targets):
    head = MSEHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    predicted = head.projection(hidden)
    distances = torch.cdist(predicted, targets.table).square()
    torch.testing.assert_close(
        head.scores(hidden), predicted.square().sum(1, keepdim=True) - distances, rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(head.loss(hidden, words), D * F.mse_loss(predicted, targets.table[words]))
    vectors = torch.randn(N, D)
    torch.testing.assert_close(head.loss(hidden, words, vectors), D * F.mse_loss(predicted, vectors))


def test_cosine_loss_and_scores_equal_those_of_torch(vocabulary, hidden, words, targets):
    head = CosineHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    predicted = head.projection(hidden)
    expected = F.cosine_similarity(predicted[:, None], targets.table[None], dim=-1)
    torch.testing.assert_close(head.scores(hidden), expected)
    torch.testing.assert_close(
        head.loss(hidden, words), F.cosine_embedding_loss(predicted, targets.table[words], torch.ones(N))
    )


@pytest.mark.parametrize("system", ["mse", "cosine", "vmf"])
def test_distance_regressors_learn_no_distribution_over_words(vocabulary, system):
    """The rows are wide enough for the true distribution: the loss keeps these heads from it."""
    head = made(system, vocabulary, dimension=1024)
    assert not head.is_density and excess_over_unigram(head, vocabulary) > 0.1


def test_regressor_without_a_signal_predicts_the_mean_target(vocabulary, targets):
    head = CosineHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    shares = torch.from_numpy(vocabulary.counts / vocabulary.counts.sum()).float()
    torch.testing.assert_close(head.projection(torch.zeros(1, H))[0], shares @ targets.table)


def vmf_nats(predicted: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """−log of the density on the unit sphere, from SciPy's Bessel function. [N, D], [N, D] -> [N] float64"""
    kappa, order = predicted.double().norm(dim=1), D / 2 - 1
    log_bessel = torch.from_numpy(np.log(ive(order, kappa.numpy()))) + kappa
    log_c = order * kappa.log() - D / 2 * math.log(2 * math.pi) - log_bessel
    return -log_c - (predicted.double() * directions.double()).sum(1)


def test_vmf_loss_is_scipys_density_and_ranking_that_of_the_cosine(vocabulary, hidden, words, targets):
    head = VMFHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    with torch.no_grad():
        head.projection.weight.mul_(D)
        predicted, unit = head.queries(hidden), F.normalize(targets.table, dim=1)
        assert predicted.norm(dim=1).max() > 3 * predicted.norm(dim=1).min()
        vectors = torch.randn(N, D)
        for vectors_or_none, directions in (((), unit[words]), ((vectors,), F.normalize(vectors, dim=1))):
            expected = vmf_nats(predicted, directions).mean().float()
            torch.testing.assert_close(head.loss(hidden, words, *vectors_or_none), expected)
        cosines = F.cosine_similarity(predicted[:, None], unit[None], dim=-1)
        assert torch.equal(head.scores(hidden).argmax(1), cosines.argmax(1))


def test_vmf_gradient_equals_that_of_the_density(vocabulary, hidden, words, targets):
    """The gradient for p is A(κ) p / κ − e; the prediction is D times the projection."""
    head = VMFHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    head.loss(hidden, words).backward()
    predicted = head.queries(hidden).detach().double()
    kappa = predicted.norm(dim=1)
    mean_length = torch.from_numpy(ive(D / 2, kappa.numpy()) / ive(D / 2 - 1, kappa.numpy()))
    slope = (mean_length / kappa)[:, None] * predicted - F.normalize(targets.table, dim=1)[words]
    torch.testing.assert_close(head.projection.bias.grad, (D * slope.mean(0)).float(), rtol=1e-5, atol=1e-5)


def test_vmf_starts_at_the_best_density_without_a_context(vocabulary, targets):
    head = VMFHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    shares = torch.from_numpy(vocabulary.counts / vocabulary.counts.sum())
    unit = F.normalize(targets.table, dim=1)

    def nats(scale: float) -> float:
        predicted = (scale * head.queries(torch.zeros(1, H)).detach()).expand(len(unit), -1)
        return float(shares @ vmf_nats(predicted, unit))

    assert nats(1.0) < min(nats(0.9), nats(1.1))


def test_vmf_loss_is_exact_under_autocast(vocabulary, hidden, words, targets):
    """Only the projection is rounded."""
    head = VMFHead(hidden_size=H, vocabulary=vocabulary, targets=targets)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        loss, predicted = head.loss(hidden, words), head.queries(hidden)
    assert (loss.dtype, predicted.dtype) == (torch.float32, torch.bfloat16)
    unit = F.normalize(targets.table, dim=1)[words]
    torch.testing.assert_close(loss.double(), vmf_nats(predicted, unit).mean(), rtol=1e-6, atol=1e-6)
