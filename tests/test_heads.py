"""What single heads promise beyond the contract, against slow or other implementations; test_sampling has more."""

import pytest
import torch
import torch.nn.functional as F

from bench.errors import SettingError
from bench.heads.adaptive_softmax import AdaptiveSoftmaxHead
from bench.heads.cosine import CosineHead
from bench.heads.mse import MSEHead
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
