"""Noise-contrastive estimation and InfoNCE: the draws, and what their losses have for an optimum.

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
from bench.heads.infonce import InfoNCEHead, contrast
from bench.heads.kernels.noise_contrastive import noise_contrastive
from bench.heads.nce import NCEHead
from bench.targets.tables import Targets

N, H, D = 64, 16, 8
UNLIKELY = 1e-4  # a chance below which a test rejects


@pytest.fixture
def targets(vocabulary) -> Targets:
    return Targets("random", "type", torch.randn(len(vocabulary), D, generator=torch.Generator().manual_seed(2)))


@pytest.fixture
def some(vocabulary) -> tuple[Tensor, Tensor]:
    """Hidden states [N, H] and words as the unigram has them [N]."""
    generator = torch.Generator().manual_seed(1)
    shares = torch.from_numpy(vocabulary.log_unigram).exp()
    words = torch.multinomial(shares, N, replacement=True, generator=generator)
    return torch.randn(N, H, generator=generator), words


def test_draws_are_the_unigrams_with_replacement(vocabulary):
    torch.manual_seed(0)
    noise, found = Noise(vocabulary), torch.zeros(len(vocabulary), dtype=torch.long)
    for _ in range(100):
        ids, counts = noise.draw(500)
        assert len(ids.unique()) == len(ids) and counts.sum() == 500
        found[ids] += counts
    share = vocabulary.counts / vocabulary.counts.sum()
    assert chisquare(found.numpy(), share * 50_000).pvalue > UNLIKELY
    assert chisquare(found.numpy(), np.full(len(vocabulary), 50_000 / len(vocabulary))).pvalue < UNLIKELY


def test_a_draw_makes_nothing_that_grows_with_v(vocabulary, monkeypatch):
    noise = Noise(vocabulary)
    searched = []
    monkeypatch.setattr(torch, "searchsorted", lambda table, at, right: searched.append(table) or at.long())
    noise.draw(20)
    assert searched[0] is noise.below


def test_nce_does_not_move_a_model_that_is_the_text(vocabulary):
    """In expectation over words and noise: Σ p(w) loss(w) with k q(w) draws of each has no slope at s = log p."""
    generator = torch.Generator().manual_seed(0)
    size, k = len(vocabulary), 7.0
    p = torch.rand(size, generator=generator, dtype=torch.float64).softmax(0)
    q = torch.from_numpy(vocabulary.log_unigram).double().softmax(0)
    everyone, none = torch.arange(size), torch.zeros(1, 1, dtype=torch.float64)
    offsets = -(k * q).log()
    for scores, moves in ((p.log(), False), (p.log() + 0.1, True), (q.log(), True)):
        bias = scores.clone().requires_grad_()
        each = [
            noise_contrastive(none, none.expand(size, 1), bias, everyone[[w]], everyone, k * q, offsets[[w]], offsets,
                              row_sparse=False)
            for w in range(size)
        ]  # fmt: skip
        (p * torch.stack(each)).sum().backward()
        assert (bias.grad.abs().max() > 1e-4) == moves
        assert moves or bias.grad.abs().max() < 1e-15


def test_nce_begins_where_every_logit_is_that_of_one_true_word_among_k(vocabulary):
    head = NCEHead(hidden_size=H, vocabulary=vocabulary, samples=50)
    loss = head.loss(torch.zeros(1, H), torch.tensor([3]))
    assert_close(loss, F.softplus(torch.tensor(50.0).log()) + 50 * F.softplus(-torch.tensor(50.0).log()))


def test_nces_scores_sum_to_about_one_without_being_normalised(vocabulary, some):
    torch.manual_seed(0)
    head = NCEHead(hidden_size=H, vocabulary=vocabulary, samples=100)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(*some).backward()
        optimizer.step()
    sums = head.scores(some[0]).logsumexp(1)
    assert sums.abs().median() < 0.5 and F.cross_entropy(head.scores(some[0]), some[1]) < 1


def test_a_row_sparse_step_touches_the_words_and_the_noise_alone(vocabulary, some):
    torch.manual_seed(0)
    head = NCEHead(hidden_size=H, vocabulary=vocabulary, samples=5)
    head.row_sparse = True
    with torch.random.fork_rng():
        noise, _ = head.noise.draw(5)
    words = some[1][:3]
    head.loss(some[0][:3], words).backward()
    for weight in head.parameters():
        assert torch.equal(weight.grad._indices()[0], torch.cat([words, noise]).unique())
    assert len(noise) + len(words) < len(vocabulary) / 10


def plain_contrast(queries: Tensor, aims: Tensor, table: Tensor, noise: Tensor, counts: Tensor) -> Tensor:
    """Position by position, draw by draw, hits among them."""
    drawn = table[noise.repeat_interleave(counts)]  # [k, D]
    nats = [torch.stack([q @ a, *(drawn @ q)]).logsumexp(0) - q @ a for q, a in zip(queries, aims, strict=True)]
    return torch.stack(nats).mean()


@pytest.mark.parametrize("shape", [(1, 1, 3, 1), (5, 3, 9, 8), (33, 17, 40, 20)])
def test_infonce_is_the_plain_one_in_value_and_gradient(shape):
    n, d, v, k = shape
    generator = torch.Generator().manual_seed(sum(shape))
    queries, aims = (torch.randn(n, d, generator=generator).requires_grad_() for _ in range(2))
    table, noise = torch.randn(v, d, generator=generator), torch.randperm(v, generator=generator)[:k]
    counts = torch.randint(1, 4, (k,), generator=generator)
    ours, theirs = (f(queries, aims, table, noise, counts) for f in (contrast, plain_contrast))
    assert_close(ours, theirs, rtol=1e-6, atol=1e-5)
    found, expected = (torch.autograd.grad(loss, (queries, aims)) for loss in (ours, theirs))
    assert_close(found, expected, rtol=0, atol=1e-5)


def test_infonce_with_all_of_the_noise_is_the_cross_entropy_of_its_scores(vocabulary, targets, some):
    """k q(w) draws of each word, k without end: the same gradient, and in value log k q(true) more."""
    head = InfoNCEHead(hidden_size=H, vocabulary=vocabulary, targets=targets, samples=1, temperature=0.1).double()
    head.noise.log_share.copy_(head.noise.log_share.log_softmax(0))
    hidden, words = some[0].double().requires_grad_(), some[1]
    k, log_q = 1e12, head.noise.log_share
    everyone = torch.arange(len(vocabulary))
    loss = contrast(head.queries(hidden), head.aim(words, None), head.table, everyone, k * log_q.exp())
    full = F.cross_entropy(head.scores(hidden), words)
    assert_close(loss, full + (log_q[words] + np.log(k)).mean(), rtol=0, atol=1e-6)
    leaves = [hidden, *head.parameters()]
    assert_close(torch.autograd.grad(loss, leaves), torch.autograd.grad(full, leaves), rtol=0, atol=1e-6)


def test_infonce_scores_are_what_an_index_can_search(vocabulary, targets, some):
    head = InfoNCEHead(hidden_size=H, vocabulary=vocabulary, targets=targets, samples=5, temperature=0.2)
    rows, offsets = head.rows()
    assert_close(head.scores(some[0]), head.queries(some[0]) @ rows.T + offsets)
    predicted = head.projection(some[0])
    cosines = F.cosine_similarity(predicted[:, None], targets.table[None], dim=-1)
    assert_close(head.scores(some[0]), cosines / 0.2 + torch.from_numpy(vocabulary.log_unigram))


def test_infonce_of_occurrences_aims_at_them_and_claims_no_density(vocabulary, targets, some):
    targets.level = "token"
    head = InfoNCEHead(hidden_size=H, vocabulary=vocabulary, targets=targets, samples=20, temperature=0.2)
    vectors = torch.randn(N, D, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(0)
    ids, counts = head.noise.draw(20)
    expected = plain_contrast(head.queries(some[0]), F.normalize(vectors, dim=1), head.table, ids, counts)
    torch.manual_seed(0)
    assert_close(head.loss(*some, vectors), expected)
    assert not head.is_density
