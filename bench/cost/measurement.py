"""What has been found of a contender so far, and how often it is still visited."""

from dataclasses import dataclass, field
from typing import Any

from bench.core.errors import one_line, status_of
from bench.cost.contender import Contender, Missing
from bench.cost.schema import Row
from bench.cost.timing import TooLong

LEAST_ROUNDS = 2

ONCE_MS = 1_500  # what takes longer is timed once

UPDATES = ("adam", "sgd")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long is measured."""

    rounds: int  # of what is fast
    act_seconds: float  # that one act of one contender may take in all rounds, before it has fewer
    visit_seconds: float  # for which a fast act is repeated within a visit
    longest_seconds: float  # of a first call, compilation included: what takes longer is left out


@dataclass(eq=False)
class Measurement:
    """What has been found of one contender."""

    contender: Contender
    smaller: Row | None = None  # what stands of it at a smaller V
    taken: dict[str, list[float]] = field(default_factory=dict)  # ms an act, one figure a visit
    left: dict[str, int] = field(default_factory=dict)  # visits
    figures: dict[str, Any] = field(default_factory=dict)
    build_ms: float = 0.0  # what a visit costs beside its acts
    searched: bool = False  # has it rows that an index of neighbours can search?
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
        self.left[act] = self.left.get(act, self.visits(ms, limits)) - 1

    def visits(self, ms: float, limits: Limits) -> int:
        """How often an act is visited in all."""
        if ms > ONCE_MS:
            return 1
        affordable = int(1e3 * limits.act_seconds / max(ms, self.build_ms, 1e-6))
        return min(limits.rounds, max(LEAST_ROUNDS, affordable))

    def seconds(self, ms: float, limits: Limits) -> float:
        """For which an act is repeated within a visit: fewer visits are longer ones."""
        return limits.visit_seconds * limits.rounds / self.visits(ms, limits)

    def fail(self, act: str, error: Exception) -> None:
        """The act is not tried again; the first failure is the row's."""
        self.left[act] = 0
        if self.status == "ok":
            told = {TooLong: "slow", Missing: "missing"}.get(type(error))
            self.status = told or status_of(error) or "failed"
            where = "" if isinstance(error, Missing) else f"{act}: "
            self.reason = where + (str(error) if told else one_line(error))

    def expect(self, size: int, limits: Limits) -> None:
        """Is a step worth trying that takes as much longer as V is larger?

        Raises:
            TooLong: by what it took at a smaller V, two of them, one to warm up, would take too long.
        """
        if self.smaller is None:
            return
        at, allows = f"at V = {self.smaller.vocabulary_size:,}", "cost.longest_seconds allows more"
        if self.smaller.step_ms is None and self.smaller.status == "slow":
            raise TooLong(f"not tried, as {at} it was cut off already; {allows}")
        if self.smaller.step_ms:
            seconds = self.smaller.step_ms[1] / 1e3
            if 2 * seconds * size / self.smaller.vocabulary_size > limits.longest_seconds:
                raise TooLong(f"not tried, as {at} it took {seconds:.2g} s; {allows}")
