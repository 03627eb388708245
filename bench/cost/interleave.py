"""Interleaved rounds: every contender is visited once a round, so that a drift of the machine hits all alike.

A visit builds a contender, warms up, times its acts and lets it go. What is slow is visited less often, but not left
out without a word: what no visit can hold is a status and a reason.
"""

import gc
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch.optim import Optimizer

from bench.cost.contender import Contender, Operations, sgd
from bench.cost.flops import StrictFlops
from bench.cost.measurement import UPDATES, Limits, Measurement
from bench.cost.memory import mib, peak_mib, state_of, trained
from bench.cost.run_cost import QUERIES
from bench.cost.schema import Row
from bench.cost.synthetic_inputs import SyntheticInputs
from bench.cost.timing import matmul_gflops, once_ms, repeated_ms, within

COLD_MS = 300  # what is faster is warmed up first, at every visit: it waits for caches, what is slower hardly does

ANSWERS = 10


def measure(
    contenders: Sequence[Contender],
    scene: SyntheticInputs,
    limits: Limits,
    show: Callable[[float, str], None],
    smaller: Mapping[str, Row] = MappingProxyType({}),
) -> tuple[list[Measurement], list[float]]:
    """All rounds: what was found of each contender, and the machine's matmul peak in each round, GFLOP/s.

    Args:
        show: is told the share that is done, and whose turn it is.
        smaller: contenders' rows at a smaller V.
    """
    notes, peaks = [Measurement(contender, smaller.get(contender.name)) for contender in contenders], []
    for turn in range(limits.rounds):
        for nth, note in enumerate(notes):
            show((turn + nth / len(notes)) / limits.rounds, f"round {turn + 1}: {note.contender.name}")
            if note.due:
                visit(note, scene, limits)
        peaks.append(matmul_gflops(scene.device, scene.product_type, limits.visit_seconds))
        gc.collect()
    return notes, peaks


def visit(note: Measurement, scene: SyntheticInputs, limits: Limits) -> None:
    """Build, time every act that is due, let go."""
    with warnings.catch_warnings(), attempt(note, "build"):
        warnings.simplefilter("ignore")  # a peer's own, of its defaults
        begin = time.perf_counter()
        acts = note.contender.build(scene)
        note.build_ms, note.searched = 1e3 * (time.perf_counter() - begin), acts.searched is not None
        if "weights_mib" not in note.figures:
            note.figures |= size_of(acts)
        if acts.loss is not None and note.wants("step"):
            train(note, acts, scene, limits)
        with torch.inference_mode(), scene.precise():
            due = {act: call for act, call in lookups(acts, scene).items() if note.wants(act)}
            if due and acts.decode is not None:
                begin = time.perf_counter()
                for queries in (1, 2):  # which builds what decoding keeps, for one query and for several
                    acts.decode(*few(scene, queries))
                note.build_ms += 1e3 * (time.perf_counter() - begin)
            for act, call in due.items():
                with attempt(note, act):
                    time_act(note, act, call, scene, limits)
    scene.hidden.grad = None
    if note.status == "oom":
        gc.collect()
        torch.cuda.empty_cache()


@contextmanager
def attempt(note: Measurement, act: str) -> Iterator[None]:
    """What is raised within fails this act alone."""
    try:
        yield
    except Exception as error:
        note.fail(act, error)


def size_of(acts: Operations) -> dict[str, Any]:
    """What a contender weighs."""
    tensors = [*acts.module.parameters(), *acts.module.buffers()]
    return {"weights_mib": mib(tensors), "parameters": trained(acts.module)}


def train(note: Measurement, acts: Operations, scene: SyntheticInputs, limits: Limits) -> None:
    """A step, and each optimiser's update after it; the first step tells memory and FLOPs too."""
    weights = [weight for weight in acts.module.parameters() if weight.requires_grad]

    def step() -> None:
        for tensor in [*weights, scene.hidden]:
            tensor.grad = None
        with scene.precise():
            loss = acts.loss(scene.hidden, scene.words)
        loss.backward()

    def first() -> None:
        with StrictFlops() if acts.flops_per_position is None else nullcontext() as counter:
            note.figures["peak_mib"] = peak_mib(step, scene.device)
        if counter is not None:
            note.figures["flops_per_position"] = counter.flops / scene.positions

    with attempt(note, "step"):
        if acts.proportional:
            note.expect(len(scene.vocabulary), limits)
        time_act(note, "step", step, scene, limits, first=first, cold_ms=math.inf)
        for act, make in zip(UPDATES, (acts.adam, sgd), strict=True):
            with attempt(note, act):
                optimizers = make(weights)
                # the first call makes the optimiser's state
                time_act(note, act, partial(update, optimizers), scene, limits, cold_ms=math.inf)
                note.figures[f"{act}_mib"] = mib(tensor for each in optimizers for tensor in state_of(each))
        if acts.flops_per_position is not None and "flops_per_position" not in note.figures:
            note.figures["flops_per_position"] = acts.flops_per_position()  # last, as it may take gradients away
    for weight in weights:
        weight.grad = None


def update(optimizers: Sequence[Optimizer]) -> None:
    """One step of each."""
    for each in optimizers:
        each.step()


def few(scene: SyntheticInputs, queries: int) -> tuple[torch.Tensor, int]:
    """States to decode and how many answers to give. [n, H]"""
    return scene.queries(queries)[0], min(ANSWERS, len(scene.vocabulary))


def lookups(acts: Operations, scene: SyntheticInputs) -> dict[str, Callable[[], object]]:
    """Decoding and ranking, by the name of their figure."""
    calls: dict[str, Callable[[], object]] = {}
    if acts.decode is not None:
        for queries in QUERIES:
            calls[f"decode_{queries}"] = partial(acts.decode, *few(scene, queries))
    if acts.rank is not None:
        calls[f"rank_{max(QUERIES)}"] = partial(acts.rank, *scene.queries(max(QUERIES)))
    return calls


def time_act(
    note: Measurement,
    act: str,
    call: Callable[[], object],
    scene: SyntheticInputs,
    limits: Limits,
    *,
    first: Callable[[], object] | None = None,
    cold_ms: float = COLD_MS,
) -> None:
    """One visit's figure: the median of calls after one to warm up, or that one itself where it took long.

    Args:
        first: what warms up at the first visit; it may do more than `call`.
        cold_ms: a call that takes longer needs none before it.
    """
    [*_, ms] = note.taken.get(act, [0.0])
    if ms < cold_ms:
        with within(limits.longest_seconds):
            ms = once_ms(first if first and act not in note.taken else call, scene.device)
        if ms > cold_ms:
            note.take(act, ms, limits)
            return
    note.take(act, repeated_ms(call, scene.device, note.seconds(ms, limits)), limits)
