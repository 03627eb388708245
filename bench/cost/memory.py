"""Memory of a call and sizes of models and optimiser states, in MiB."""

import contextlib
import gc
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


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
