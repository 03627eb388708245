"""Contract of every head that conf/system/ names: scores, loss, gradients, state, density and FLOPs.

A head that is added as two files is tested here without an edit.
N positions, H hidden size, V vocabulary size.
"""

import copy

import pytest
import torch
from factories.models import H, N, excess_over_unigram, made, systems
from torch.utils.flop_counter import FlopCounterMode

from bench.cost.flops import count_flops
from bench.heads import Head
from bench.heads.cosine import CosineHead
from bench.heads.infonce import InfoNCEHead
from bench.heads.mse import MSEHead
from bench.targets.tables import Targets


@pytest.fixture(scope="module", params=systems())
def untrained(request, vocabulary) -> Head:
    """Head of one system; composing its configuration is slow, so the tests of a system share the head."""
    return made(request.param, vocabulary, dimension=64)


@pytest.fixture
def head(untrained) -> Head:
    """Copy of the untrained head that a test may train; draws start at the same seed in every test."""
    torch.manual_seed(0)
    return copy.deepcopy(untrained)


@pytest.fixture
def batch(vocabulary) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states [N, H] and distinct words [N]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(N, H, generator=generator), torch.randperm(len(vocabulary), generator=generator)[:N]


def test_scores_are_finite_rows_over_the_vocabulary(head, batch, vocabulary):
    scores = head.scores(batch[0])
    assert scores.shape == (N, len(vocabulary))
    assert scores.isfinite().all()


def test_loss_is_a_finite_scalar_with_a_gradient_for_every_weight(head, batch):
    hidden = batch[0].requires_grad_()
    loss = head.loss(hidden, batch[1])
    loss.backward()
    assert loss.shape == () and loss.isfinite()
    assert hidden.grad.abs().sum() > 0
    untouched = [name for name, weight in head.named_parameters() if weight.requires_grad and weight.grad is None]
    assert untouched == []


def test_scores_of_blocks_equal_scores_of_the_whole(head, batch):
    whole = head.scores(batch[0])
    parts = torch.cat([head.scores(part) for part in batch[0].split(5)])
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_scores_are_products_of_queries_and_rows_if_there_are_rows(head, batch):
    with torch.no_grad():
        decoder = head.rows()
        if decoder is None:  # its scores are no matrix product
            assert type(head).rows is Head.rows
            return
        rows, offsets = decoder
        products = head.queries(batch[0]) @ rows.T
        torch.testing.assert_close(products if offsets is None else products + offsets, head.scores(batch[0]))


def test_head_with_scores_of_its_own_inherits_no_rows():
    class Renamed(MSEHead):
        """Scores and rows are inherited."""

    class OtherScores(MSEHead):
        def scores(self, hidden):
            return -torch.cdist(self.projection(hidden), self.table, p=1)

    assert Renamed.rows is MSEHead.rows
    assert OtherScores.rows is Head.rows


def test_training_ranks_the_word_of_each_hidden_state_first(head, batch):
    hidden, words = batch
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        head.loss(hidden, words).backward()
        optimizer.step()
    assert (head.scores(hidden).argmax(1) == words).float().mean() == 1


def test_state_dict_restores_the_scores(head, batch):
    with torch.no_grad():
        before = head.scores(batch[0])
        state = {name: tensor.clone() for name, tensor in head.state_dict().items()}
        for weight in head.parameters():
            weight.add_(1.0)
        assert not torch.equal(head.scores(batch[0]), before)
        head.load_state_dict(state)
        torch.testing.assert_close(head.scores(batch[0]), before, rtol=0, atol=0)


@pytest.mark.parametrize("system", systems())
def test_density_learns_the_distribution_of_its_words(vocabulary, system):
    """Only heads with `is_density = True` are held to this; test_losses tests which of the other heads learn none.

    With 512 columns, fixed target vectors can express every distribution over these words. Learnt rows need no width,
    and two layers after the trunk need less of it.
    """
    head = made(system, vocabulary, dimension={"initialised_softmax": 64, "rescued": 256}.get(system, 512))
    assert not head.is_density or excess_over_unigram(head, vocabulary) < 0.1


def test_flops_equal_those_of_torchs_counter_or_are_unknown(head, batch, capsys):
    """An op without a formula makes the count None and prints one line; torch's counter would read 0 for the op."""
    hidden = batch[0].clone().requires_grad_()
    torch.manual_seed(0)  # the number of distinct draws of noise depends on the seed
    with FlopCounterMode(display=False) as counter:
        head.loss(hidden, batch[1]).backward()
    torch.manual_seed(0)
    counted = count_flops(lambda: head.loss(hidden, batch[1]))
    printed = capsys.readouterr().err
    if counted is None:
        assert printed.startswith("flops_per_position: null, as no formula counts torch.ops.aten.")
        assert printed.count("\n") == 1
    else:
        assert counted == pytest.approx(counter.get_total_flops(), rel=0.01) and counted > 0 and printed == ""


@pytest.mark.parametrize("parent", [MSEHead, CosineHead, InfoNCEHead])
def test_predictions_that_a_subclass_redefines_are_those_that_are_scored(parent, vocabulary):
    class Negated(parent):
        def predictions(self, hidden):
            return -super().predictions(hidden)

    table = torch.randn(len(vocabulary), 6, generator=torch.Generator().manual_seed(0))
    options = {"temperature": 0.1, "samples": 8} if parent is InfoNCEHead else {}
    parts = {"hidden_size": 4, "vocabulary": vocabulary, "targets": Targets("random", "type", table)}
    plain, negated = parent(**parts, **options), Negated(**parts, **options)
    negated.load_state_dict(plain.state_dict())
    hidden = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(negated.queries(hidden), -plain.queries(hidden))
    rows, offsets = negated.rows()
    products = negated.queries(hidden) @ rows.T + (0 if offsets is None else offsets)
    torch.testing.assert_close(negated.scores(hidden), products)
