"""Noise-contrastive estimation and InfoNCE: the draws, the losses and their optima.

N positions, H hidden size, D target size, V vocabulary size, k draws.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from torch import Tensor
from torch.testing import assert_close

from bench.heads._noise import Noise
from bench.heads.infonce import InfoNCEHead, contrastive_loss
from bench.heads.kernels.noise_contrastive import noise_contrastive
from bench.heads.nce import NCEHead
from bench.targets.tables import Targets

N, H, D = 64, 16, 8
UNLIKELY = 1e-4  # a chance below which a test rejects


@pytest.fixture
def targets(vocabulary) -> Targets:
    return Targets("random", "type", torch.randn(len(vocabulary), D, generator=torch.Generator().manual_seed(2)))


@pytest.fixture
def batch(vocabulary) -> tuple[Tensor, Tensor]:
    """Hidden states [N, H] and words drawn from the unigram [N]."""
    generator = torch.Generator().manual_seed(1)
    shares = torch.from_numpy(vocabulary.log_unigram).exp()
    words = torch.multinomial(shares, N, replacement=True, generator=generator)
    return torch.randn(N, H, generator=generator), words


def test_draws_follow_the_unigram_with_replacement(vocabulary):
    torch.manual_seed(0)
    noise, drawn = Noise(vocabulary), torch.zeros(len(vocabulary), dtype=torch.long)
    for _ in range(100):
        ids, counts = noise.draw(500)
        assert len(ids.unique()) == len(ids) and counts.sum() == 500
        drawn[ids] += counts
    share = vocabulary.counts / vocabulary.counts.sum()
    assert chisquare(drawn.numpy(), share * 50_000).pvalue > UNLIKELY
    assert chisquare(drawn.numpy(), np.full(len(vocabulary), 50_000 / len(vocabulary))).pvalue < UNLIKELY


def test_draw_searches_the_cumulative_table_that_was_made_once(vocabulary, monkeypatch):
    noise = Noise(vocabulary)
    searched = []
    monkeypatch.setattr(torch, "searchsorted", lambda table, at, right: searched.append(table) or at.long())
    noise.draw(20)
    assert searched[0] is noise.cumulative


def test_nce_gradient_is_zero_in_expectation_at_the_true_distribution_alone(vocabulary):
    """Σ p(w) loss(w), with k q(w) draws of each word, has zero gradient at s = log p."""
    generator = torch.Generator().manual_seed(0)
    size, k = len(vocabulary), 7.0
    p = torch.rand(size, generator=generator, dtype=torch.float64).softmax(0)
    q = torch.from_numpy(vocabulary.log_unigram).double().softmax(0)
    all_words, none = torch.arange(size), torch.zeros(1, 1, dtype=torch.float64)
    offsets = -(k * q).log()
    for scores, moves in ((p.log(), False), (p.log() + 0.1, True), (q.log(), True)):
        bias = scores.clone().requires_grad_()
        each = [
            noise_contrastive(none, none.expand(size, 1), bias, all_words[[w]], all_words, k * q, offsets[[w]], offsets,
                              row_sparse=False)
            for w in range(size)
        ]  # fmt: skip
        (p * torch.stack(each)).sum().backward()
        assert (bias.grad.abs().max() > 1e-4) == moves
        assert moves or bias.grad.abs().max() < 1e-15


def test_nce_starts_with_logits_of_minus_log_k(vocabulary):
    head = NCEHead(hidden_size=H, vocabulary=vocabulary, samples=50)
    loss = head.loss(torch.zeros(1, H), torch.tensor([3]))
    assert_close(loss, F.softplus(torch.tensor(50.0).log()) + 50 * F.softplus(-torch.tensor(50.0).log()))


def test_nce_scores_are_nearly_normalised_after_training(vocabulary, batch):
    torch.manual_seed(0)
    head = NCEHead(hidden_size=H, vocabulary=vocabulary, samples=100)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(*batch).backward()
        optimizer.step()
    sums = head.scores(batch[0]).logsumexp(1)
    assert sums.abs().median() < 0.5 and F.cross_entropy(head.scores(batch[0]), batch[1]) < 1


def test_row_sparse_gradient_has_the_rows_of_words_and_noise_alone(vocabulary, batch):
    torch.manual_seed(0)
    head = NCEHead(hidden_size=H, vocabulary=vocabulary, samples=5)
    head.row_sparse = True
    with torch.random.fork_rng():
        noise, _ = head.noise.draw(5)
    words = batch[1][:3]
    head.loss(batch[0][:3], words).backward()
    for weight in head.parameters():
        assert torch.equal(weight.grad._indices()[0], torch.cat([words, noise]).unique())
    assert len(noise) + len(words) < len(vocabulary) / 10


def plain_contrastive_loss(queries: Tensor, aims: Tensor, table: Tensor, noise: Tensor, counts: Tensor) -> Tensor:
    """Slow reference: one position and one draw at a time; draws that equal the true word count."""
    drawn = table[noise.repeat_interleave(counts)]  # [k, D]
    nats = [torch.stack([q @ a, *(drawn @ q)]).logsumexp(0) - q @ a for q, a in zip(queries, aims, strict=True)]
    return torch.stack(nats).mean()


@pytest.mark.parametrize("shape", [(1, 1, 3, 1), (5, 3, 9, 8), (33, 17, 40, 20)])
def test_infonce_equals_the_slow_reference_in_value_and_gradient(shape):
    n, d, v, k = shape
    generator = torch.Generator().manual_seed(sum(shape))
    queries, aims = (torch.randn(n, d, generator=generator).requires_grad_() for _ in range(2))
    table, noise = torch.randn(v, d, generator=generator), torch.randperm(v, generator=generator)[:k]
    counts = torch.randint(1, 4, (k,), generator=generator)
    ours, slow = (f(queries, aims, table, noise, counts) for f in (contrastive_loss, plain_contrastive_loss))
    assert_close(ours, slow, rtol=1e-6, atol=1e-5)
    found, expected = (torch.autograd.grad(loss, (queries, aims)) for loss in (ours, slow))
    assert_close(found, expected, rtol=0, atol=1e-5)


def test_infonce_with_expected_counts_of_noise_has_the_gradient_of_full_cross_entropy(vocabulary, targets, batch):
    """k q(w) draws of each word, for large k: equal gradients, and a value that is larger by log k q(true)."""
    head = InfoNCEHead(hidden_size=H, vocabulary=vocabulary, targets=targets, samples=1, temperature=0.1).double()
    head.log_unigram.copy_(head.log_unigram.log_softmax(0))
    hidden, words = batch[0].double().requires_grad_(), batch[1]
    k, log_q = 1e12, head.log_unigram
    all_words = torch.arange(len(vocabulary))
    queries, vectors = head.queries(hidden), head.target_vectors(words, None)
    loss = contrastive_loss(queries, vectors, head.table, all_words, k * log_q.exp())
    full = F.cross_entropy(head.scores(hidden), words)
    assert_close(loss, full + (log_q[words] + np.log(k)).mean(), rtol=0, atol=1e-6)
    leaves = [hidden, *head.parameters()]
    assert_close(torch.autograd.grad(loss, leaves), torch.autograd.grad(full, leaves), rtol=0, atol=1e-6)


def test_infonce_scores_equal_queries_times_rows_plus_offsets(vocabulary, targets, batch):
    head = InfoNCEHead(hidden_size=H, vocabulary=vocabulary, targets=targets, samples=5, temperature=0.2)
    rows, offsets = head.rows()
    assert_close(head.scores(batch[0]), head.queries(batch[0]) @ rows.T + offsets)
    predicted = head.projection(batch[0])
    cosines = F.cosine_similarity(predicted[:, None], targets.table[None], dim=-1)
    assert_close(head.scores(batch[0]), cosines / 0.2 + torch.from_numpy(vocabulary.log_unigram))


def test_infonce_at_token_level_predicts_the_occurrences_and_is_no_density(vocabulary, targets, batch):
    targets.level = "token"
    head = InfoNCEHead(hidden_size=H, vocabulary=vocabulary, targets=targets, samples=20, temperature=0.2)
    vectors = torch.randn(N, D, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(0)
    ids, counts = head.noise.draw(20)
    expected = plain_contrastive_loss(head.queries(batch[0]), F.normalize(vectors, dim=1), head.table, ids, counts)
    torch.manual_seed(0)
    assert_close(head.loss(*batch, vectors), expected)
    assert not head.is_density
