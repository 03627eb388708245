"""Max margin, frozen, initialised and rescued heads: losses and gradients against slow references, and learning.

N positions, H hidden size, D target size, V vocabulary size.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from factories.cells import settings
from factories.models import made
from torch import Tensor
from torch.testing import assert_close

from bench.core.errors import SettingError
from bench.heads import Head
from bench.heads.frozen_softmax import FrozenSoftmaxHead
from bench.heads.infonce import InfoNCEHead
from bench.heads.initialised_softmax import InitialisedSoftmaxHead
from bench.heads.kernels import chunked_gradients as kernel
from bench.heads.max_margin import MaxMarginHead, most_informative
from bench.heads.projected_softmax import ProjectedSoftmaxHead
from bench.heads.rescued import RescuedHead
from bench.run import run
from bench.targets.tables import Targets

N, H, D = 40, 16, 8

HEADS: dict[str, Callable[..., Head]] = {
    "frozen_softmax": lambda **parts: FrozenSoftmaxHead(temperature=0.2, **parts),
    "initialised_softmax": lambda **parts: InitialisedSoftmaxHead(samples=None, **parts),
    "max_margin": lambda **parts: MaxMarginHead(margin=0.5, **parts),
    "rescued": lambda **parts: RescuedHead(width=12, temperature=0.2, **parts),
}


@pytest.fixture
def targets(vocabulary) -> Targets:
    return Targets("random", "type", torch.randn(len(vocabulary), D, generator=torch.Generator().manual_seed(2)))


@pytest.fixture
def batch(vocabulary) -> tuple[Tensor, Tensor]:
    """Hidden states [N, H] that require a gradient, and words [N]."""
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(len(vocabulary), (N,), generator=generator)
    return torch.randn(N, H, generator=generator).requires_grad_(), words


def built(name: str, vocabulary, targets: Targets) -> Head:
    torch.manual_seed(0)
    return HEADS[name](hidden_size=H, vocabulary=vocabulary, targets=targets)


def assert_same_gradients(head: Head, loss: Tensor, expected: Tensor, hidden: Tensor) -> None:
    leaves = [hidden, *head.parameters()]
    computed, slow = (torch.autograd.grad(each, leaves) for each in (loss, expected))
    assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert_close(computed, slow, rtol=1e-4, atol=1e-5)


def test_frozen_softmax_is_the_cross_entropy_of_its_scores(vocabulary, targets, batch):
    head, (hidden, words) = built("frozen_softmax", vocabulary, targets), batch
    cosines = F.cosine_similarity(head.projection(hidden)[:, None], targets.table[None], dim=-1)
    assert_close(head.scores(hidden), cosines / 0.2 + torch.from_numpy(vocabulary.log_unigram))
    assert_same_gradients(head, head.loss(*batch), F.cross_entropy(head.scores(hidden), words), hidden)


def test_frozen_softmax_scores_as_infonce_with_the_same_parameters(vocabulary, targets, batch):
    frozen = built("frozen_softmax", vocabulary, targets)
    sampled = InfoNCEHead(hidden_size=H, vocabulary=vocabulary, targets=targets, samples=9, temperature=1.0)
    sampled.load_state_dict(frozen.state_dict())
    assert torch.equal(sampled.scores(batch[0]), frozen.scores(batch[0]))
    assert {name for name, _ in frozen.named_parameters()} == {"projection.weight", "projection.bias", "log_sharpness"}


@pytest.mark.parametrize("samples", [None, 199])
def test_projected_softmax_differs_from_initialised_softmax_in_its_first_rows_alone(
    vocabulary, targets, batch, samples
):
    parts = {"hidden_size": H, "vocabulary": vocabulary, "samples": samples}
    torch.manual_seed(0)
    projected = ProjectedSoftmaxHead(width=D, **parts)
    torch.manual_seed(0)
    initialised = InitialisedSoftmaxHead(targets=targets, **parts)
    states = projected.state_dict(), initialised.state_dict()
    differing = [name for name, value in states[0].items() if not torch.equal(value, states[1][name])]
    assert differing == ["classifier.words.weight"]
    initialised.load_state_dict(projected.state_dict())
    losses = []
    for head in (projected, initialised):
        torch.manual_seed(1)  # the draws of negatives
        losses.append(head.loss(*batch))
    assert torch.equal(*losses)


@pytest.mark.parametrize("samples", [None, 199])
def test_initialised_softmax_starts_at_the_table_and_learns_all_its_parameters(vocabulary, targets, batch, samples):
    head = InitialisedSoftmaxHead(hidden_size=H, vocabulary=vocabulary, targets=targets, samples=samples)
    assert torch.equal(head.rows()[0], targets.table)
    assert_close(head.rows()[1], torch.from_numpy(vocabulary.log_unigram), rtol=0, atol=0)
    head.loss(*batch).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in head.parameters())
    with torch.no_grad():
        head.rows()[0].add_(1.0)
    assert not torch.equal(head.rows()[0], targets.table)  # the rows are a copy


def test_exact_initialised_softmax_is_the_cross_entropy_of_its_scores(vocabulary, targets, batch):
    head, (hidden, words) = built("initialised_softmax", vocabulary, targets), batch
    assert_same_gradients(head, head.loss(*batch), F.cross_entropy(head.scores(hidden), words), hidden)


def test_sampled_initialised_softmax_has_row_sparse_gradients_if_the_optimiser_takes_them(vocabulary, targets, batch):
    head = InitialisedSoftmaxHead(hidden_size=H, vocabulary=vocabulary, targets=targets, samples=5)
    for sparse in (True, False):
        head.zero_grad()
        head.row_sparse = sparse
        head.loss(*batch).backward()
        assert head.rows()[0].grad.is_sparse == sparse


def slow_negative(predicted: Tensor, target: Tensor, table: Tensor, word: int) -> int:
    """Return the most informative negative of one position, by a loop over words. [D], [D], [V, D] -> id"""
    gains = [float(F.cosine_similarity(predicted, e, dim=0) - F.cosine_similarity(target, e, dim=0)) for e in table]
    return max((j for j in range(len(table)) if j != word), key=gains.__getitem__)


@pytest.mark.parametrize("level", ["type", "token"])
@pytest.mark.parametrize("blocks", ["one", "many"])
def test_max_margin_equals_the_slow_reference(vocabulary, targets, batch, level, blocks, monkeypatch):
    """In one block, and in chunks of 16 positions and slabs of 7 words."""
    if blocks == "many":
        for name, value in {"MIN_CHUNK_TOKENS": 16, "SMALL_CELLS": 1, "CACHED_CELLS": 16 * 7}.items():
            monkeypatch.setattr(kernel, name, value)
    head, (hidden, words) = built("max_margin", vocabulary, targets), batch
    vectors = torch.randn(N, D, generator=torch.Generator().manual_seed(3)) if level == "token" else None
    aims = targets.table[words] if vectors is None else vectors
    predicted = head.projection(hidden)
    losses, negatives = [], []
    for p, aim, word in zip(predicted, aims, words.tolist(), strict=True):
        negatives.append(slow_negative(p.detach(), aim, targets.table, word))
        against, toward = (F.cosine_similarity(p, each, dim=0) for each in (targets.table[negatives[-1]], aim))
        losses.append((0.5 + against - toward).clamp_min(0))
    found = most_informative(head.queries(hidden).detach(), F.normalize(aims, dim=1), head.table, words)
    assert found.tolist() == negatives
    assert any(each.item() > 0 for each in losses)
    arguments = (hidden, words) if vectors is None else (hidden, words, vectors)
    assert_same_gradients(head, head.loss(*arguments), torch.stack(losses).mean(), hidden)


def test_most_informative_negative_is_never_the_true_word(vocabulary, targets):
    """The true word would be the maximum if the prediction were nearer to it than to any other word."""
    unit = F.normalize(targets.table, dim=1)
    words = torch.arange(len(vocabulary))
    assert (most_informative(unit, unit, unit, words) != words).all()
    assert (most_informative(2 * unit, unit, unit, words) != words).all()


def test_rescued_loss_is_the_squared_error_plus_the_cross_entropy_of_its_scores(vocabulary, targets, batch):
    head, (hidden, words) = built("rescued", vocabulary, targets), batch
    predicted, unit = head.projection(hidden), F.normalize(targets.table, dim=1)
    rescued = head.rescuer(D**0.5 * predicted)
    cosines = F.cosine_similarity(rescued[:, None], unit[None], dim=-1)
    assert_close(head.scores(hidden), cosines / 0.2 + torch.from_numpy(vocabulary.log_unigram))
    logits = head.correct(predicted.detach()) @ unit.T + torch.from_numpy(vocabulary.log_unigram)
    error = (predicted - unit[words]).square().sum(1).mean()
    assert_same_gradients(head, head.loss(*batch), error + F.cross_entropy(logits, words), hidden)


def test_cross_entropy_of_the_rescuer_gives_no_gradient_to_trunk_and_projection(vocabulary, targets, batch):
    head, (hidden, words) = built("rescued", vocabulary, targets), batch
    vectors = torch.randn(N, D, generator=torch.Generator().manual_seed(3))
    leaves = [hidden, *head.projection.parameters()]
    error = (head.projection(hidden) - F.normalize(vectors, dim=1)).square().sum(1).mean()
    computed, expected = (torch.autograd.grad(loss, leaves) for loss in (head.loss(hidden, words, vectors), error))
    assert_close(computed, expected)


@pytest.mark.parametrize("name", ["frozen_softmax", "initialised_softmax"])
def test_head_that_classifies_words_refuses_targets_of_occurrences(vocabulary, targets, name):
    targets.level = "token"
    with pytest.raises(SettingError, match=rf"^targets\.level: {name} classifies words.*use targets\.level=type$"):
        built(name, vocabulary, targets)


@pytest.mark.parametrize("name", HEADS)
def test_scores_equal_queries_times_rows_plus_offsets(vocabulary, targets, batch, name):
    head = built(name, vocabulary, targets)
    rows, offsets = head.rows()
    products = head.queries(batch[0]) @ rows.T
    assert_close(head.scores(batch[0]), products if offsets is None else products + offsets)


@pytest.mark.parametrize("name", HEADS)
def test_is_density_only_if_training_is_by_cross_entropy(vocabulary, name):
    assert made(name, vocabulary).is_density == (name != "max_margin")


LANGUAGE = [
    "corpus.types=100", "corpus.words=30000", "corpus.concentration=1.0", "vocabulary.size=100", "targets.dimension=64",
    "backbone.trunk.hidden_size=32", "budget.words=24000", "checkpoint.seconds=1000",
]  # fmt: skip


@pytest.fixture(scope="module")
def unigram_bits(tmp_path_factory) -> float:
    return run(settings(tmp_path_factory.mktemp("unigram"), "system=unigram", *LANGUAGE)).bits_per_byte


@pytest.mark.parametrize("name", HEADS)
def test_head_learns_more_than_the_unigram_on_a_synthetic_text(tmp_path, unigram_bits, name):
    options = ["system.head.samples=20"] if name == "initialised_softmax" else []
    record = run(settings(tmp_path, f"system={name}", *LANGUAGE, *options))
    assert record.status == "ok", record.reason
    assert record.bits_per_byte < unigram_bits - 0.05
