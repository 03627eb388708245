"""Every head that the configuration tree holds keeps the contract; a new yaml is tested without an edit here.

N positions, H hidden size, V vocabulary size.
"""

import pytest
import torch
import torch.nn.functional as F
from factories.models import H, N, made, systems
from torch.utils.flop_counter import FlopCounterMode

from bench.cost.flops import count_flops
from bench.heads import Head


@pytest.fixture(params=systems())
def head(request, vocabulary) -> Head:
    return made(request.param, vocabulary)


@pytest.fixture
def some(vocabulary) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states [N, H] and distinct words [N]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(N, H, generator=generator), torch.randperm(len(vocabulary), generator=generator)[:N]


def test_scores_are_finite_rows_over_the_vocabulary(head, some, vocabulary):
    scores = head.scores(some[0])
    assert scores.shape == (N, len(vocabulary))
    assert scores.isfinite().all()


def test_loss_is_a_finite_scalar_and_reaches_every_weight(head, some):
    hidden = some[0].requires_grad_()
    loss = head.loss(hidden, some[1])
    loss.backward()
    assert loss.shape == () and loss.isfinite()
    assert hidden.grad.abs().sum() > 0
    untouched = [name for name, weight in head.named_parameters() if weight.requires_grad and weight.grad is None]
    assert untouched == []


def test_scores_do_not_hang_on_the_block(head, some):
    whole = head.scores(some[0])
    parts = torch.cat([head.scores(part) for part in some[0].split(5)])
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_it_learns_what_can_be_learnt(head, some):
    hidden, words = some
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        head.loss(hidden, words).backward()
        optimizer.step()
    assert (head.scores(hidden).argmax(1) == words).float().mean() == 1


def test_its_state_comes_back(head, some):
    with torch.no_grad():
        before = head.scores(some[0])
        state = {name: tensor.clone() for name, tensor in head.state_dict().items()}
        for weight in head.parameters():
            weight.add_(1.0)
        assert not torch.equal(head.scores(some[0]), before)
        head.load_state_dict(state)
        torch.testing.assert_close(head.scores(some[0]), before, rtol=0, atol=0)


@pytest.mark.parametrize("system", systems())
def test_what_claims_to_be_a_density_learns_one_and_no_other_does(vocabulary, system):
    """From words of one known distribution, at one hidden state; target rows are enough for any to be held."""
    head = made(system, vocabulary, dimension=1024)
    generator = torch.Generator().manual_seed(1)
    share = torch.rand(len(vocabulary), generator=generator).pow(4)
    counts = (500 * share / share.sum()).round().long()  # [V]
    words, truth = torch.arange(len(vocabulary)).repeat_interleave(counts), counts / counts.sum()
    state = torch.randn(1, H, generator=generator)
    optimizer = torch.optim.Adam(head.parameters())
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.03 * 0.02 ** (step / 400)
        optimizer.zero_grad()
        head.loss(state.expand(len(words), -1), words).backward()
        optimizer.step()
    found = head.scores(state)[0].log_softmax(0).detach()
    excess = F.kl_div(found, truth, reduction="sum")
    unlearnt = F.kl_div(torch.from_numpy(vocabulary.log_unigram), truth, reduction="sum")
    assert (excess < unlearnt / 10) == head.is_density


def test_its_flops_are_all_counted_and_those_of_torchs_counter(head, some):
    hidden = some[0].clone().requires_grad_()
    torch.manual_seed(0)  # how many draws of noise are distinct hangs on them
    with FlopCounterMode(display=False) as counter:
        head.loss(hidden, some[1]).backward()
    torch.manual_seed(0)
    counted = count_flops(lambda: head.loss(hidden, some[1]))
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.01) and counted > 0
