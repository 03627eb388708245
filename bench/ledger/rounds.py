"""Interleaved rounds: every contender is visited once a round, so that a drift of the machine hits all alike.

A visit builds a contender, warms up, times its acts and lets it go. What is slow is visited less often, but not left
out without a word: what no visit can hold is a status and a reason.
"""

import gc
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer

from bench.cell import one_line, status_of
from bench.cost import QUERIES, StrictFlops, mib, peak_mib, state_of, trained
from bench.ledger.acts import Acts, Contender, Missing, sgd
from bench.ledger.clock import TooLong, matmul_gflops, repeated_ms, within
from bench.ledger.scene import Scene

LEAST_ROUNDS = 3
ONCE_MS = 10_000  # what takes longer is timed once, after a call to warm up
COLD_MS = 1_000  # what is faster is warmed up first: at every visit, not the first alone
ANSWERS = 10
UPDATES = ("adam", "sgd")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long is measured."""

    rounds: int  # of what is fast
    act_seconds: float  # that one act of one contender may take in all rounds, before it has fewer
    visit_seconds: float  # for which a fast act is repeated within a visit
    longest_seconds: float  # of a first call, compilation included: what takes longer is left out


@dataclass(eq=False)
class Note:
    """What has been found of one contender."""

    contender: Contender
    taken: dict[str, list[float]] = field(default_factory=dict)  # ms an act, one figure a visit
    left: dict[str, int] = field(default_factory=dict)  # visits
    figures: dict[str, Any] = field(default_factory=dict)
    build_ms: float = 0.0  # what a visit costs beside its acts
    status: str = "ok"
    reason: str | None = None

    @property
    def due(self) -> bool:
        """Is there an act that has rounds left? Updates go with the steps before them."""
        return not self.left or any(left for act, left in self.left.items() if act not in UPDATES)

    def wants(self, act: str) -> bool:
        """Has this act rounds left?"""
        return self.left.get(act, 1) > 0

    def take(self, act: str, ms: float, limits: Limits) -> None:
        """One visit's figure; the first says how many more there are."""
        self.taken.setdefault(act, []).append(ms)
        self.left[act] = self.left.get(act, rounds_of(ms, limits, self.build_ms)) - 1

    def fail(self, act: str, error: Exception) -> None:
        """The act is not tried again; the first failure is the row's."""
        self.left[act] = 0
        if self.status == "ok":
            absent = isinstance(error, Missing | TooLong)
            self.status = "missing" if absent else status_of(error) or "failed"
            where = "" if isinstance(error, Missing) else f"{act}: "
            self.reason = where + (str(error) if absent else one_line(error))


def rounds_of(ms: float, limits: Limits, build_ms: float = 0.0) -> int:
    """How often an act is visited in all."""
    if ms > ONCE_MS:
        return 1
    affordable = int(1e3 * limits.act_seconds / max(ms, build_ms, 1e-6))
    return min(limits.rounds, max(LEAST_ROUNDS, affordable))


def measure(
    contenders: Sequence[Contender], scene: Scene, limits: Limits, show: Callable[[float, str], None]
) -> tuple[list[Note], list[float]]:
    """All rounds: what was found of each contender, and the machine's matmul peak in each round, GFLOP/s.

    Args:
        show: is told the share that is done, and whose turn it is.
    """
    notes, peaks = [Note(contender) for contender in contenders], []
    for turn in range(limits.rounds):
        for nth, note in enumerate(notes):
            show((turn + nth / len(notes)) / limits.rounds, f"round {turn + 1}: {note.contender.name}")
            if note.due:
                visit(note, scene, limits)
        peaks.append(matmul_gflops(scene.device, scene.product_type, limits.visit_seconds))
        gc.collect()
    return notes, peaks


def visit(note: Note, scene: Scene, limits: Limits) -> None:
    """Build, time every act that is due, let go."""
    with warnings.catch_warnings(), attempt(note, "build"):
        warnings.simplefilter("ignore")  # a peer's own, of its defaults
        begin = time.perf_counter()
        acts = note.contender.build(scene)
        note.build_ms = 1e3 * (time.perf_counter() - begin)
        if "weights_mib" not in note.figures:
            note.figures |= size_of(acts)
        if acts.loss is not None and note.wants("step"):
            train(note, acts, scene, limits)
        with torch.inference_mode(), scene.precise():
            due = {act: call for act, call in lookups(acts, scene).items() if note.wants(act)}
            if due and acts.decode is not None:
                begin = time.perf_counter()
                acts.decode(*few(scene))  # which builds what decoding keeps
                note.build_ms += 1e3 * (time.perf_counter() - begin)
            for act, call in due.items():
                with attempt(note, act):
                    time_act(note, act, call, scene, limits)
    scene.hidden.grad = None
    if note.status == "oom":
        gc.collect()
        torch.cuda.empty_cache()


@contextmanager
def attempt(note: Note, act: str) -> Iterator[None]:
    """What is raised within fails this act alone."""
    try:
        yield
    except Exception as error:
        note.fail(act, error)


def size_of(acts: Acts) -> dict[str, Any]:
    """What a contender weighs."""
    tensors = [*acts.module.parameters(), *acts.module.buffers()]
    return {"weights_mib": mib(tensors), "parameters": trained(acts.module)}


def train(note: Note, acts: Acts, scene: Scene, limits: Limits) -> None:
    """A step, and each optimiser's update after it; the first step tells memory and FLOPs too."""
    weights = [weight for weight in acts.module.parameters() if weight.requires_grad]

    def step() -> None:
        for tensor in [*weights, scene.hidden]:
            tensor.grad = None
        with scene.precise():
            loss = acts.loss(scene.hidden, scene.words)
        loss.backward()

    def first() -> None:
        if acts.flops_per_position is not None:
            note.figures["peak_mib"] = peak_mib(step, scene.device)
            note.figures["flops_per_position"] = acts.flops_per_position()
            return
        with StrictFlops() as counter:
            note.figures["peak_mib"] = peak_mib(step, scene.device)
        note.figures["flops_per_position"] = counter.flops / scene.positions

    with attempt(note, "step"):
        time_act(note, "step", step, scene, limits, first=first)
        for act, make in zip(UPDATES, (acts.adam, sgd), strict=True):
            with attempt(note, act):
                optimizers = make(weights)
                call = partial(update, optimizers)
                time_act(note, act, call, scene, limits, first=call)  # which makes the optimiser's state
                note.figures[f"{act}_mib"] = mib(tensor for each in optimizers for tensor in state_of(each))
    for weight in weights:
        weight.grad = None


def update(optimizers: Sequence[Optimizer]) -> None:
    """One step of each."""
    for each in optimizers:
        each.step()


def few(scene: Scene, queries: int = 1) -> tuple[torch.Tensor, int]:
    """States to decode and how many answers to give. [n, H]"""
    return scene.queries(queries)[0], min(ANSWERS, len(scene.vocabulary))


def lookups(acts: Acts, scene: Scene) -> dict[str, Callable[[], object]]:
    """Decoding and ranking, by the name of their figure."""
    calls: dict[str, Callable[[], object]] = {}
    if acts.decode is not None:
        for queries in QUERIES:
            calls[f"decode_{queries}"] = partial(acts.decode, *few(scene, queries))
    if acts.rank is not None:
        calls[f"rank_{max(QUERIES)}"] = partial(acts.rank, *scene.queries(max(QUERIES)))
    return calls


def time_act(
    note: Note,
    act: str,
    call: Callable[[], object],
    scene: Scene,
    limits: Limits,
    *,
    first: Callable[[], object] | None = None,
) -> None:
    """One visit's figure: the median of calls after one to warm up, which is bounded and may do more at the first."""
    before = note.taken.get(act)
    if before is None:
        begin = time.perf_counter()
        with within(limits.longest_seconds):
            (first or call)()
        ms = 1e3 * (time.perf_counter() - begin)
        if first is None and ms > COLD_MS:
            note.take(act, ms, limits)
            return
    elif before[-1] < COLD_MS:
        call()
    note.take(act, repeated_ms(call, scene.device, limits.visit_seconds), limits)
