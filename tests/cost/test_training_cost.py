"""FLOPs against closed forms and torch's counter, memory against arithmetic."""

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from factories.models import tiny_model
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import flop_counter
from torch.utils.flop_counter import FlopCounterMode

from bench.cost.flops import count_flops, training_flops
from bench.cost.memory import peak_mib
from bench.cost.record_costs import training_cost
from bench.heads.adaptive_softmax import AdaptiveSoftmaxHead
from bench.heads.mse import MSEHead
from bench.heads.sampled_softmax import SampledSoftmaxHead
from bench.heads.softmax import SoftmaxHead
from bench.models.backbones.rnn import RNN
from bench.models.word_batches import Batch, Inputs
from bench.models.word_model import WordModel
from bench.targets.tables import Targets

N, H, D = 64, 32, 24
CPU = torch.device("cpu")


def flops(head: nn.Module, words: torch.Tensor) -> float:
    """Return the counted FLOPs per position."""
    hidden = torch.randn(len(words), H, requires_grad=True)
    return count_flops(lambda: head.loss(hidden, words)) / len(words)


@pytest.fixture
def words(vocabulary) -> torch.Tensor:
    shares = torch.from_numpy(vocabulary.counts / vocabulary.counts.sum())
    return torch.multinomial(shares, N, replacement=True, generator=torch.Generator().manual_seed(0))


def test_flops_of_softmax_are_three_products_with_all_rows(vocabulary, words):
    assert flops(SoftmaxHead(hidden_size=H, vocabulary=vocabulary), words) == 3 * 2 * H * len(vocabulary)


def test_flops_of_sampled_softmax_are_three_products_with_k_rows(vocabulary, words):
    assert flops(SampledSoftmaxHead(hidden_size=H, vocabulary=vocabulary, samples=50), words) == 3 * 2 * H * 50


def test_flops_of_a_regressor_do_not_depend_on_v(vocabulary, words):
    head = MSEHead(hidden_size=H, vocabulary=vocabulary, targets=Targets("t", "type", torch.randn(len(vocabulary), D)))
    assert flops(head, words) == 3 * 2 * H * D


def test_flops_of_adaptive_softmax_are_those_of_the_clusters_of_the_words(vocabulary, words):
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
def test_flops_formula_of_a_recurrent_trunk_equals_torchs_count_of_the_unrolled_trunk(cell, layers, width):
    """torch counts 0 for a fused recurrence; unrolled, it lacks one product, the gradient of the first state."""
    rnn = RNN(cell=cell, hidden_size=H, layers=layers, dropout=0.0, vocabulary_size=50, input_width=width)
    inputs = torch.randint(50, (4, 64)) if width is None else torch.randn(4, 64, width)
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        rnn(inputs)[0].sum().backward()
    assert counter.get_total_flops() / (4 * 64) == pytest.approx(rnn.flops_per_position(steps=64), rel=0.01)


def test_flops_of_a_transformer_equal_torchs_count_of_a_real_step():
    """torch counts 0 for the CPU's fused attention, so both counts use attention of plain products."""
    model = tiny_model()
    batch = model.datamodule(seed=0).batches.batch(0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.training_step(batch, 0).backward()
    assert counter.get_total_flops() / batch.trained_words == pytest.approx(model.flops_per_position(batch), rel=0.01)


def test_flops_are_none_and_the_line_names_the_op_if_an_op_has_no_formula(capsys):
    one, other = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)
    assert count_flops(lambda: torch.cdist(one, other).sum()) is None
    assert "no formula counts torch.ops.aten._cdist_backward, torch.ops.aten._cdist_forward;" in capsys.readouterr().err
    matrix = torch.randn(3, 4, requires_grad=True)
    assert count_flops(lambda: (matrix @ torch.randn(4)).sum()) is None  # torch's own counter reads it as 0
    assert capsys.readouterr().err == (
        "flops_per_position: null, as no formula counts torch.ops.aten.mv; register one with "
        "torch.utils.flop_counter.register_flop_formula\n"
    )


def test_flops_of_an_op_are_counted_once_its_formula_is_registered(capsys):
    matrix = torch.randn(3, 4, requires_grad=True)
    flop_counter.register_flop_formula(torch.ops.aten.mv)(lambda matrix, vector, **_: 2 * matrix[0] * matrix[1])
    try:
        # the backward pass is an outer product, element by element
        assert count_flops(lambda: (matrix @ torch.randn(4)).sum()) == 2 * 3 * 4
    finally:
        del flop_counter.flop_registry[torch.ops.aten.mv]
    assert capsys.readouterr().err == ""


ELEMENTWISE_LOSSES = {
    "smooth_l1": lambda one, other: F.smooth_l1_loss(one, other),
    "huber": lambda one, other: F.huber_loss(one, other),
    "binary_cross_entropy": lambda one, other: F.binary_cross_entropy(one.sigmoid(), other.sigmoid()),
    "with_logits": lambda one, other: F.binary_cross_entropy_with_logits(one, other.sigmoid()),
    "soft_margin": lambda one, other: F.soft_margin_loss(one, other.sign()),
    "cosine": lambda one, other: F.cosine_embedding_loss(one, other, torch.ones(len(one))),
    "triplet": lambda one, other: F.triplet_margin_loss(one, other, other + 1),
    "layer_norm": lambda one, other: F.mse_loss(F.layer_norm(one, one.shape[1:]), other),
}


@pytest.mark.parametrize("loss", ELEMENTWISE_LOSSES)
def test_elementwise_loss_adds_no_flops_to_the_projection(loss):
    """torch's counter, which knows products alone, sees the projection and nothing else."""
    states, weight = torch.randn(6, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)

    def step() -> torch.Tensor:
        return ELEMENTWISE_LOSSES[loss](F.linear(states, weight), torch.randn(6, 5))

    with FlopCounterMode(display=False) as counter:
        step().backward()
    assert count_flops(step) == counter.get_total_flops() == 3 * 2 * 6 * 4 * 5


class Trunkless(nn.Module):
    """A model whose trunk counts its FLOPs by a function of the test."""

    device = CPU

    def __init__(self, head: nn.Module | None, trunk_flops: Callable[[], float | None]):
        super().__init__()
        self.flops_per_position = lambda batch: trunk_flops()
        self.output_head = head


def test_flops_of_a_model_are_none_if_its_own_count_fails(vocabulary, words, capsys):
    def fail() -> float:
        raise NotImplementedError("aten::nonzero: no meta kernel")

    batch = SimpleNamespace(words=words, vectors=None, trained_words=len(words))
    assert training_flops(Trunkless(None, fail), None, batch) == {"flops_per_position": None}
    assert capsys.readouterr().err == (
        "flops_per_position: null, as counting Trunkless failed (NotImplementedError: aten::nonzero: no meta kernel)\n"
    )
    head = SoftmaxHead(hidden_size=H, vocabulary=vocabulary)
    of_head = 3 * 2 * H * len(vocabulary)
    for trunk, whole in ((fail, None), (lambda: None, None), (lambda: 7.0, of_head + 7.0)):
        expected = {"head_flops_per_position": of_head, "flops_per_position": whole}
        assert training_flops(Trunkless(head, trunk), None, batch) == expected


def test_flops_of_head_and_model_are_none_if_the_heads_loss_is_not_counted(vocabulary, words, capsys):
    head = SoftmaxHead(hidden_size=H, vocabulary=vocabulary)
    head.loss = lambda hidden, words: torch.cdist(hidden, head.words.weight).mean()
    batch = SimpleNamespace(words=words, vectors=None, trained_words=len(words))
    expected = {"head_flops_per_position": None, "flops_per_position": None}
    assert training_flops(Trunkless(head, lambda: 7.0), None, batch) == expected
    assert "no formula counts torch.ops.aten._euclidean_dist;" in capsys.readouterr().err
    assert all(weight.grad is None for weight in head.parameters())


def test_counting_flops_leaves_the_random_state_unchanged(vocabulary, words):
    head = SampledSoftmaxHead(hidden_size=H, vocabulary=vocabulary, samples=50)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    flops(head, words)
    hidden_draw = torch.manual_seed(3) and torch.rand(1)
    assert torch.equal(hidden_draw, expected)


def test_peak_memory_is_the_sum_of_tensors_that_exist_at_once():
    def step() -> None:
        first = torch.empty(2**20)  # 4 MiB
        second = torch.empty(2**20)
        del first
        third = torch.empty(2**20)  # 8 MiB live, 12 allocated
        del second, third

    assert peak_mib(step, CPU) == pytest.approx(8, rel=0.01)


def test_measuring_costs_changes_no_buffer_of_the_model(vocabulary):
    class Normed(SoftmaxHead):
        def __init__(self, **parts):
            super().__init__(**parts)
            self.norm = nn.BatchNorm1d(16)

        def loss(self, hidden: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
            return super().loss(self.norm(hidden), words)

    trunk = RNN(cell=nn.LSTM, vocabulary_size=len(vocabulary), input_width=None, hidden_size=16, layers=1, dropout=0.0)
    model = WordModel(
        trunk, Normed(hidden_size=16, vocabulary=vocabulary), Inputs(vocabulary), lr=1e-3, weight_decay=0.0
    )
    words = torch.zeros(2, 8, dtype=torch.long)
    batch = Batch(words, words, None, fresh=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training_flops(model, None, batch)
    training_cost(model, batch, contextlib.nullcontext)
    assert {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])} == set()


def test_costs_of_a_trained_model_are_measured_in_the_trainers_precision(vocabulary):
    active, seen = [], []

    @contextlib.contextmanager
    def precision() -> Iterator[None]:
        active.append(True)
        yield
        active.pop()

    class Spy(SoftmaxHead):
        def loss(self, hidden: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
            seen.append(bool(active))
            return super().loss(hidden, words)

    trunk = RNN(cell=nn.LSTM, vocabulary_size=len(vocabulary), input_width=None, hidden_size=16, layers=1, dropout=0.0)
    model = WordModel(trunk, Spy(hidden_size=16, vocabulary=vocabulary), Inputs(vocabulary), lr=1e-3, weight_decay=0.0)
    words = torch.zeros(2, 8, dtype=torch.long)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    figures = training_cost(model, Batch(words, words, None, fresh=True), precision)
    assert len(seen) >= 3 and all(seen) and not active
    assert figures["peak_mib"] > 0 and figures["head_train_ms_per_1k"] > 0
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
