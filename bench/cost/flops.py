"""FLOPs of a training step: a multiply-add is 2 FLOPs, and only matrix products count.

An op that is neither known to be free of matrix products nor covered by a formula makes the figure None (null in a
record): it is never counted as zero, and it never fails a cell. Legend: N positions, D target size.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.core.errors import one_line
from bench.core.progress import print_line
from bench.cost.memory import buffers_restored
from bench.models.language_model import LanguageModel
from bench.targets.tables import Targets

# Ops without a matrix product, by the name without the underscore of the in-place form. Ops that torch tags as
# pointwise, and views, need no entry. `dot`, `mv`, `_cdist_forward` and `_trilinear` are products and must stay out.
FREE = set(
    # copies, look-ups and constants: no arithmetic
    """_sparse_coo_tensor_with_dims_and_tensors _to_copy _unique2 _unsafe_view _local_scalar_dense arange bucketize cat
    clone constant_pad_nd copy detach diagonal_backward embedding empty empty_like empty_strided eye fill flip full
    full_like gather index index_fill index_put index_select isin linspace masked_fill masked_scatter masked_select
    new_empty new_empty_strided new_full new_ones new_zeros nonzero ones ones_like repeat roll scalar_tensor scatter
    searchsorted select_backward slice_backward stack tril triu zero zeros zeros_like"""
    # random draws: work per element
    """ bernoulli exponential multinomial native_dropout native_dropout_backward normal rand rand_like randint randn
    randn_like random randperm uniform"""
    # reductions, scans and sorting: additions and comparisons along a dimension
    """ _is_all_true all amax aminmax any argmax argsort bincount count_nonzero cummax cumprod cumsum
    embedding_dense_backward index_add index_copy kthvalue linalg_vector_norm logcumsumexp logsumexp max mean median
    min norm prod renorm scatter_add scatter_reduce sort std sum topk unfold_backward var"""
    # normalisations and activations: reductions and work per element
    """ _fused_rms_norm _fused_rms_norm_backward _log_softmax _log_softmax_backward_data _prelu_kernel
    _prelu_kernel_backward _softmax _softmax_backward_data elu_backward glu glu_backward hardswish hardswish_backward
    leaky_relu_backward log_sigmoid_backward log_sigmoid_forward native_group_norm native_group_norm_backward
    native_layer_norm native_layer_norm_backward rrelu_with_noise rrelu_with_noise_backward softplus_backward"""
    # losses that compare prediction and target element by element, or gather the target's score, and take the mean;
    # cosine losses need no entry: they decompose into pointwise products and sums
    """ binary_cross_entropy binary_cross_entropy_backward binary_cross_entropy_with_logits huber_loss
    huber_loss_backward mse_loss mse_loss_backward multi_margin_loss multi_margin_loss_backward
    multilabel_margin_loss_backward multilabel_margin_loss_forward nll_loss_backward nll_loss_forward smooth_l1_loss
    smooth_l1_loss_backward soft_margin_loss soft_margin_loss_backward""".split()
)


class StrictFlops(TorchDispatchMode):
    """Add up the FLOPs of all ops that run inside, forward and backward.

    On leaving, print one line that names the ops that have no formula, if there are any.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counted = 0
        self.uncounted: set[str] = set()  # ops without a formula, as `aten.mv`

    @property
    def flops(self) -> int | None:
        """The sum; None if an op without a formula has run."""
        return None if self.uncounted else self.counted

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        op = func._overloadpacket
        if op in flop_registry:
            self.counted += flop_registry[op](*args, **kwargs, out_val=out)
        elif not (func.is_view or torch.Tag.pointwise in func.tags or op.__name__.removesuffix("_") in FREE):
            self.uncounted.add(str(op))
        return out

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if self.uncounted and raised[0] is None:
            ops = ", ".join(f"torch.ops.{op}" for op in sorted(self.uncounted))
            register = "register one with torch.utils.flop_counter.register_flop_formula"
            print_line(f"flops_per_position: null, as no formula counts {ops}; {register}")


def count_flops(step: Callable[[], Tensor]) -> int | None:
    """Count the FLOPs of one call and of the backward pass of its scalar result; None if an op has no formula."""
    with torch.random.fork_rng(), StrictFlops() as counter:  # draws made here must not change the run's own
        step().backward()
    return counter.flops


def flops_or_none(count: Callable[[], float | None], subject: str) -> float | None:
    """Return the count; None, with one line on the screen, if counting fails: no cell fails for this figure."""
    try:
        return count()
    except Exception as error:  # any library's: an architecture that the counter cannot run
        print_line(f"flops_per_position: null, as counting {subject} failed ({one_line(error)})")
        return None


def training_flops(model: LanguageModel, targets: Targets | None, batch: Any) -> dict[str, float | None]:
    """Compute the FLOPs per position of a training step, the targets' own transformation included.

    Where the count depends on the words (adaptive softmax) or on what is drawn (distinct noise), this batch decides.

    Returns:
        `flops_per_position`, the sum, and `head_flops_per_position` if the model has an output head. A part that cannot
        be counted makes its figure and the sum None.
    """
    trunk = flops_or_none(lambda: model.flops_per_position(batch), type(model).__name__)
    output_head = model.output_head
    if output_head is None:
        return {"flops_per_position": trunk}
    hidden = torch.zeros(batch.trained_words, output_head.hidden_size, device=model.device, requires_grad=True)
    with buffers_restored(output_head):
        counted = flops_or_none(
            lambda: count_flops(lambda: output_head.loss(hidden, *head_targets(batch))), type(output_head).__name__
        )
    output_head.zero_grad(set_to_none=True)
    head = None if counted is None else counted / batch.trained_words
    parts = [head, trunk, targets.flops_per_position() if targets is not None and batch.vectors is not None else 0]
    return {"head_flops_per_position": head, "flops_per_position": None if None in parts else sum(parts)}


def head_targets(batch: Any) -> tuple[Tensor, ...]:
    """Return the arguments of a head's loss that follow the hidden states: words [N] and, at token level, [N, D]."""
    words = batch.words.flatten()
    return (words,) if batch.vectors is None else (words, batch.vectors.flatten(0, 1))
