"""FLOPs of a training step: a multiply-add is 2, and only matrix products count.

N positions, H hidden size, V vocabulary size."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.models.language_model import LanguageModel
from bench.targets.tables import Targets

# no matrix product: element by element, reductions, look-ups, copies, random draws
FREE = set(  # in-place forms go by the name of the op that they are a form of
    """_local_scalar_dense _log_softmax _log_softmax_backward_data _softmax _softmax_backward_data
    _sparse_coo_tensor_with_dims_and_tensors _to_copy _unique2
    _unsafe_view all amax any arange argmax argsort bucketize cat clone copy cumsum detach embedding
    embedding_dense_backward empty empty_like empty_strided fill full full_like gather index index_add
    index_copy index_fill index_put index_select linalg_vector_norm logsumexp masked_fill masked_select max
    mean min mse_loss mse_loss_backward multi_margin_loss multi_margin_loss_backward multinomial
    native_dropout native_dropout_backward new_empty new_empty_strided new_full new_ones new_zeros
    nll_loss_backward nll_loss_forward nonzero ones ones_like rand rand_like randint randn scalar_tensor
    scatter scatter_add scatter_reduce searchsorted select_backward slice_backward sort sum topk uniform zero zeros
    zeros_like""".split()
)


class UncountedOp(RuntimeError):
    """An op whose FLOPs nobody counts."""


class StrictFlops(TorchDispatchMode):
    """Adds up the FLOPs of what runs inside, forward and backward; raises UncountedOp rather than count a zero."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        packet = func._overloadpacket
        if packet in flop_registry:
            self.flops += flop_registry[packet](*args, **kwargs, out_val=out)
        elif not (func.is_view or torch.Tag.pointwise in func.tags or packet.__name__.removesuffix("_") in FREE):
            raise UncountedOp(f"{func} has no FLOP formula; register one with torch.utils.flop_counter")
        return out


def count_flops(step: Callable[[], Tensor]) -> int:
    """Of one call and the backward pass of what it returns."""
    with torch.random.fork_rng(), StrictFlops() as counter:  # draws made here must not change the run's own
        step().backward()
    return counter.flops


def training_flops(model: LanguageModel, targets: Targets | None, batch: Any) -> dict[str, float]:
    """FLOPs a position of a training step, the targets' own transformation included; where they hang on the words
    (adaptive softmax) or on what is drawn (distinct noise), those of this batch's."""
    head = model.output_head
    if head is None:
        return {"flops_per_position": model.flops_per_position(batch)}
    hidden = torch.zeros(batch.trained_words, head.hidden_size, device=model.device, requires_grad=True)
    head_flops = count_flops(lambda: head.loss(hidden, *aims(batch))) / batch.trained_words
    head.zero_grad(set_to_none=True)
    aiming = targets.flops_per_position() if targets is not None and batch.vectors is not None else 0
    return {
        "head_flops_per_position": head_flops,
        "flops_per_position": head_flops + model.flops_per_position(batch) + aiming,
    }


def aims(batch: Any) -> tuple[Tensor, ...]:
    """What a head's loss is given beside the hidden states. -> [N] and, at token level, [N, D]"""
    words = batch.words.flatten()
    return (words,) if batch.vectors is None else (words, batch.vectors.flatten(0, 1))
