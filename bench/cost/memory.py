"""Memory of a call, sizes of models and optimiser states in MiB, and buffers that a measurement leaves unchanged."""

import contextlib
import gc
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def peak_mib(step: Callable[[], object], device: torch.device) -> float:
    """Return the most memory that one call holds beyond the memory allocated before it, MiB."""
    gc.collect()  # garbage of an earlier cell, freed during the call, would lower the figure
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
    """Silence stderr inside: the profiler's C++ code writes start and stop lines, and no setting stops them."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def buffers_restored(module: nn.Module) -> Iterator[None]:
    """Set all buffers back afterwards: steps that only measure a cost must not move a batch norm or a queue."""
    kept = [buffer.detach().clone() for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in zip(module.buffers(), kept, strict=True):
                buffer.copy_(before)


def mib(tensors: Iterable[Tensor]) -> float:
    """Return the memory of all tensors, MiB."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 2**20


def state_of(optimizer: Optimizer) -> list[Tensor]:
    """Return the tensors that an optimiser keeps between steps."""
    return [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]


def trained(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
