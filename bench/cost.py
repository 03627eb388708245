"""What one head costs: time, memory and FLOPs of training and decoding, apart from trunk and data.

Convention: a multiply-add is 2 FLOPs, and only matrix products count; an op that is neither known to be free of them
nor counted is an error, never a zero. N positions, H hidden size, V vocabulary size.
"""

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import singledispatch
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.evaluation.score import Judged
from bench.evaluation.words import search, trie_of
from bench.subword import SubwordModel
from bench.targets import Targets

QUERIES = (1, 256)
ANSWERS = 10
LEAST_SECONDS, LEAST_TIMES = 0.2, 5

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


def peak_mib(step: Callable[[], object], device: torch.device) -> float:
    """The most that one call holds beyond what was allocated before it, MiB, by the allocator's own account."""
    gc.collect()  # what an earlier cell has left must not be freed within, and count as less
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    from torch.profiler import ProfilerActivity, profile

    with quiet_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    live = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak / 2**20


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """The profiler's C++ side writes start and stop notes to the screen, and no setting stops it."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def mib(tensors: Iterable[Tensor]) -> float:
    """Memory of so many tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 2**20


def state_of(optimizer: Optimizer) -> list[Tensor]:
    """All that it keeps between steps."""
    return [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]


def trained(model: nn.Module) -> int:
    """Parameters that training moves."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def once_ms(call: Callable[[], object], device: torch.device) -> float:
    """One call, the device's queue awaited before and after."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    begin = time.perf_counter()
    call()
    wait()
    return 1e3 * (time.perf_counter() - begin)


def milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """Median of repeated calls after two to warm up."""
    taken: list[float] = []
    call(), call()
    while len(taken) < LEAST_TIMES or sum(taken) < 1e3 * LEAST_SECONDS:
        taken.append(once_ms(call, device))
    return median(taken)


def training_flops(model: nn.Module, targets: Targets | None, batch: Any) -> dict[str, float]:
    """FLOPs a position of a training step, the targets' own transformation included; where they hang on the words
    (adaptive softmax) or on what is drawn (distinct noise), those of this batch's."""
    if not hasattr(model, "head"):
        return {"flops_per_position": model.flops_per_position()}
    hidden = torch.zeros(batch.trained_words, model.head.hidden_size, device=model.device, requires_grad=True)
    head = count_flops(lambda: model.head.loss(hidden, *aims(batch))) / batch.trained_words
    model.head.zero_grad(set_to_none=True)
    aiming = targets.flops_per_position() if targets is not None and batch.vectors is not None else 0
    return {"head_flops_per_position": head, "flops_per_position": head + model.flops_per_position() + aiming}


def training_cost(model: nn.Module, batch: Any) -> dict[str, float]:
    """Of a trained model: its size, the memory of a training step, and the time of the head's share of it.

    `peak_mib` is that of weights, gradients, optimiser state and activations together.
    """
    optimizer = model.configure_optimizers()
    model.train()

    def step(learn: bool) -> None:
        model.training_step(batch, 0).backward()
        if learn:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for group in optimizer.param_groups:
        group["lr"] = 0.0  # allocates the optimiser's state as any step does, and moves no weight
        group["weight_decay"] = 0.0
    step(learn=True)
    figures = {
        "parameters": trained(model),
        "peak_mib": mib([*model.parameters(), *model.buffers(), *state_of(optimizer)])
        + peak_mib(lambda: step(learn=True), model.device),
    }
    if hasattr(model, "head"):
        figures["head_train_ms_per_1k"] = head_milliseconds(model.head, batch)
    model.eval()
    return figures


def head_milliseconds(head: nn.Module, batch: Any) -> float:
    """Forward and backward of the head alone, on random hidden states and the batch's targets, ms per 1 k positions."""
    hidden = torch.randn(batch.trained_words, head.hidden_size, device=batch.words.device, requires_grad=True)

    def step() -> None:
        head.zero_grad(set_to_none=True)
        hidden.grad = None
        head.loss(hidden, *aims(batch)).backward()

    taken = milliseconds(step, hidden.device) * 1000 / batch.trained_words
    head.zero_grad(set_to_none=True)
    return taken


@singledispatch
def decoding_cost(model: Any, judged: Judged) -> dict[str, float]:
    """Exact top 10 for 1 and for 256 queries, ms, from the features of validation words on."""
    answers = min(ANSWERS, len(judged.vocabulary))
    with torch.inference_mode():
        features = model.features(judged.validation.head(max(QUERIES)), None)
        features = features.repeat(-(-max(QUERIES) // len(features)), 1)  # a short text is asked more than once
        return {
            f"decode_ms_{queries}": milliseconds(
                lambda asked=features[:queries]: model.scores(asked).topk(answers), features.device
            )
            for queries in QUERIES
        }


@decoding_cost.register
def _(model: SubwordModel, judged: Judged) -> dict[str, float]:
    """For 1 and for 256 words of the vocabulary: the search for their ranks in the top 10, histories read anew.

    It includes the transformer, where a head's figure leaves the trunk out; it ends once the true word's rank is sure.
    """
    known = np.flatnonzero(judged.vocabulary.encode(judged.test.words) != judged.vocabulary.unk)
    spread = known[np.linspace(0, len(known) - 1, max(QUERIES)).astype(int)]
    trie = trie_of(model, judged.vocabulary)
    search(model, judged.test, spread[:1], trie)  # to warm up
    figures = {}
    for queries in QUERIES:  # once each: with a large model a search takes seconds
        begin = time.perf_counter()
        search(model, judged.test, spread[:queries], trie)
        figures[f"decode_ms_{queries}"] = 1e3 * (time.perf_counter() - begin)
    return figures


def aims(batch: Any) -> tuple[Tensor, ...]:
    """What a head's loss is given beside the hidden states. -> [N] and, at token level, [N, D]"""
    words = batch.words.flatten()
    return (words,) if batch.vectors is None else (words, batch.vectors.flatten(0, 1))
