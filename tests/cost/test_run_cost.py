"""FLOPs against closed forms and torch's counter, memory against arithmetic."""

import pytest
import torch
from factories.models import tiny_model
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.cost.flops import UncountedOp, count_flops
from bench.cost.memory import peak_mib
from bench.heads.adaptive_softmax import AdaptiveSoftmaxHead
from bench.heads.mse import MSEHead
from bench.heads.sampled_softmax import SampledSoftmaxHead
from bench.heads.softmax import SoftmaxHead
from bench.models.backbones.rnn import RNN
from bench.targets.tables import Targets

N, H, D = 64, 32, 24
CPU = torch.device("cpu")


def flops(head: nn.Module, words: torch.Tensor) -> float:
    """Counted, a position."""
    hidden = torch.randn(len(words), H, requires_grad=True)
    return count_flops(lambda: head.loss(hidden, words)) / len(words)


@pytest.fixture
def words(vocabulary) -> torch.Tensor:
    shares = torch.from_numpy(vocabulary.counts / vocabulary.counts.sum())
    return torch.multinomial(shares, N, replacement=True, generator=torch.Generator().manual_seed(0))


def test_softmax_is_three_products_with_all_rows(vocabulary, words):
    assert flops(SoftmaxHead(hidden_size=H, vocabulary=vocabulary), words) == 3 * 2 * H * len(vocabulary)


def test_sampled_softmax_is_three_products_with_k_rows(vocabulary, words):
    assert flops(SampledSoftmaxHead(hidden_size=H, vocabulary=vocabulary, samples=50), words) == 3 * 2 * H * 50


def test_a_regressor_does_not_see_v(vocabulary, words):
    head = MSEHead(hidden_size=H, vocabulary=vocabulary, targets=Targets("t", "type", torch.randn(len(vocabulary), D)))
    assert flops(head, words) == 3 * 2 * H * D


def test_adaptive_softmax_costs_what_its_targets_cost(vocabulary, words):
    head = AdaptiveSoftmaxHead(hidden_size=H, vocabulary=vocabulary, cutoffs=[0.1, 0.5], narrowing=2.0)
    low, high, size = 20, 100, 200
    in_first, in_second = ((words >= low) & (words < high)).sum().item(), (words >= high).sum().item()
    shortlist = N * H * (low + 2)
    tails = in_first * (H * 16 + 16 * (high - low)) + in_second * (H * 8 + 8 * (size - high))
    assert flops(head, words) * N == 3 * 2 * (shortlist + tails)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # of the flags, on a build without that hardware
@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("width", [None, 20])
def test_the_trunks_formula_is_what_torch_counts_where_it_counts(cell, layers, width):
    """Fused, a recurrence reads 0; unrolled, it lacks one product: the first step's gradient of the state before it."""
    rnn = RNN(cell=cell, hidden_size=H, layers=layers, dropout=0.0, vocabulary_size=50, input_width=width)
    inputs = torch.randint(50, (4, 64)) if width is None else torch.randn(4, 64, width)
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        rnn(inputs)[0].sum().backward()
    assert counter.get_total_flops() / (4 * 64) == pytest.approx(rnn.flops_per_position(steps=64), rel=0.01)


def test_a_transformers_flops_are_those_of_a_step_that_is_run():
    """The fused attention of the CPU reads 0, so that both are counted with its plain products."""
    model = tiny_model()
    batch = model.datamodule(seed=0).batches.batch(0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.training_step(batch, 0).backward()
    assert counter.get_total_flops() / batch.trained_words == pytest.approx(model.flops_per_position(batch), rel=0.01)


def test_an_op_that_nobody_counts_is_an_error():
    one, other = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)
    with pytest.raises(UncountedOp, match="cdist"):
        count_flops(lambda: torch.cdist(one, other).sum())
    matrix = torch.randn(3, 4, requires_grad=True)
    with pytest.raises(UncountedOp, match="mv"):  # a matrix product that torch's own counter reads as 0
        count_flops(lambda: (matrix @ torch.randn(4)).sum())


def test_counting_leaves_the_random_numbers_alone(vocabulary, words):
    head = SampledSoftmaxHead(hidden_size=H, vocabulary=vocabulary, samples=50)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    flops(head, words)
    hidden_draw = torch.manual_seed(3) and torch.rand(1)
    assert torch.equal(hidden_draw, expected)


def test_peak_memory_is_that_of_what_lives_at_once():
    def step() -> None:
        first = torch.empty(2**20)  # 4 MiB
        second = torch.empty(2**20)
        del first
        third = torch.empty(2**20)  # 8 MiB live, 12 allocated
        del second, third

    assert peak_mib(step, CPU) == pytest.approx(8, rel=0.01)
