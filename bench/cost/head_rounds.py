"""One round of a head or a baseline: build, warm up, time every operation that is due, free the memory.

Legend: n queries, H hidden size.
"""

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from types import MappingProxyType

import torch
from torch.optim import Optimizer

from bench.cost.contender import Contender, Operations, sgd
from bench.cost.flops import StrictFlops
from bench.cost.interleave import Participant, interleave
from bench.cost.measurement import UPDATES, Limits, Measurement
from bench.cost.memory import mib, peak_mib, state_of, trained
from bench.cost.schema import HeadRow
from bench.cost.synthetic_inputs import SyntheticInputs
from bench.cost.timing import matmul_gflops, once_ms, repeated_ms, time_limit
from bench.evaluation.exact_decoder import ANSWERS, QUERIES

COLD_MS = 300  # a faster call is warmed up in every round: caches matter to it, and hardly to a slower call


def measure(
    contenders: Sequence[Contender],
    inputs: SyntheticInputs,
    limits: Limits,
    show: Callable[[float, str], None],
    smaller: Mapping[str, HeadRow] = MappingProxyType({}),
) -> tuple[list[Measurement], list[float]]:
    """Measure all rounds; return a measurement per contender, and the machine's matmul peak in each round, GFLOP/s.

    Args:
        show: see `interleave`.
        smaller: rows at a smaller V, by contender.
    """
    results = [Measurement(contender, smaller.get(contender.name)) for contender in contenders]
    peaks: list[float] = []
    interleave(
        [Participant(each.contender.name, each, partial(measure_once, each, inputs, limits)) for each in results],
        limits.rounds,
        show,
        after_round=lambda: peaks.append(matmul_gflops(inputs.device, inputs.product_type, limits.repeat_seconds)),
    )
    return results, peaks


def measure_once(result: Measurement, inputs: SyntheticInputs, limits: Limits, _: int) -> None:
    """Build the contender, time the operations that are due, and free its memory."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # baselines warn of their own defaults
            time_operations(result, inputs, limits)
    finally:
        inputs.hidden.grad = None


def time_operations(result: Measurement, inputs: SyntheticInputs, limits: Limits) -> None:
    """Time the training step first, then decoding and ranking; the first round measures sizes too."""
    begin = time.perf_counter()
    operations = result.contender.build(inputs)
    result.build_ms, result.searchable = 1e3 * (time.perf_counter() - begin), operations.searchable is not None
    if "weights_mib" not in result.figures:
        tensors = [*operations.module.parameters(), *operations.module.buffers()]
        result.figures |= {"weights_mib": mib(tensors), "parameters": trained(operations.module)}
    if operations.loss is not None and result.operation_due("step"):
        time_training(result, operations, inputs, limits)
    with torch.inference_mode(), inputs.autocast():
        due = {name: call for name, call in lookups(operations, inputs).items() if result.operation_due(name)}
        if due and operations.decode is not None:
            begin = time.perf_counter()
            for queries in (1, 2):  # builds the tables that decoding keeps, for one query and for several
                operations.decode(*decoding_arguments(inputs, queries))
            result.build_ms += 1e3 * (time.perf_counter() - begin)
        for name, call in due.items():
            with result.attempt(name):
                time_operation(result, name, call, inputs, limits)


def time_training(result: Measurement, operations: Operations, inputs: SyntheticInputs, limits: Limits) -> None:
    """Time a step and each optimiser's update after it; the first step measures memory and FLOPs too."""
    weights = [weight for weight in operations.module.parameters() if weight.requires_grad]

    def step() -> None:
        for tensor in [*weights, inputs.hidden]:
            tensor.grad = None
        with inputs.autocast():
            loss = operations.loss(inputs.hidden, inputs.words)
        loss.backward()

    def first_step() -> None:
        with StrictFlops() if operations.flops_per_position is None else nullcontext() as counter:
            result.figures["peak_mib"] = peak_mib(step, inputs.device)
        if counter is not None:
            flops = counter.flops
            result.figures["flops_per_position"] = None if flops is None else flops / inputs.positions

    with result.attempt("step"):
        result.check_step_fits(len(inputs.vocabulary), limits)
        time_operation(result, "step", step, inputs, limits, first=first_step, cold_ms=math.inf)
        for name, make in zip(UPDATES, (operations.adam, sgd), strict=True):
            with result.attempt(name):
                optimizers = make(weights)
                # the first call makes the optimiser's state
                time_operation(result, name, partial(update, optimizers), inputs, limits, cold_ms=math.inf)
                result.figures[f"{name}_mib"] = mib(tensor for each in optimizers for tensor in state_of(each))
        if operations.flops_per_position is not None and "flops_per_position" not in result.figures:
            result.figures["flops_per_position"] = operations.flops_per_position()  # last: it may clear gradients
    for weight in weights:
        weight.grad = None


def update(optimizers: Sequence[Optimizer]) -> None:
    """Take one step of each optimiser."""
    for each in optimizers:
        each.step()


def decoding_arguments(inputs: SyntheticInputs, queries: int) -> tuple[torch.Tensor, int]:
    """Return states to decode, [n, H], and the number of answers per state."""
    return inputs.queries(queries)[0], min(ANSWERS, len(inputs.vocabulary))


def lookups(operations: Operations, inputs: SyntheticInputs) -> dict[str, Callable[[], object]]:
    """Return the calls of decoding and ranking that the contender has, by operation."""
    calls: dict[str, Callable[[], object]] = {}
    if operations.decode is not None:
        for queries in QUERIES:
            calls[f"decode_{queries}"] = partial(operations.decode, *decoding_arguments(inputs, queries))
    if operations.rank is not None:
        calls[f"rank_{max(QUERIES)}"] = partial(operations.rank, *inputs.queries(max(QUERIES)))
    return calls


def time_operation(
    result: Measurement,
    operation: str,
    call: Callable[[], object],
    inputs: SyntheticInputs,
    limits: Limits,
    *,
    first: Callable[[], object] | None = None,
    cold_ms: float = COLD_MS,
) -> None:
    """Add one round's time: the median of calls after a warm-up call, or the warm-up's own time if it was long.

    Args:
        first: the warm-up call of the first round; it may do more than `call`.
        cold_ms: a call that takes longer needs no warm-up, ms.
    """
    [*_, ms] = result.times_ms.get(operation, [0.0])
    if ms < cold_ms:
        with time_limit(limits.longest_seconds):
            ms = once_ms(first if first and operation not in result.times_ms else call, inputs.device)
        if ms > cold_ms:
            result.add(operation, ms, limits)
            return
    result.add(operation, repeated_ms(call, inputs.device, result.seconds_per_round(ms, limits)), limits)
