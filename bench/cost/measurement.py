"""Timings of one contender so far, and the number of rounds that each of its operations has left."""

from dataclasses import dataclass, field

from bench.cost.contender import Contender
from bench.cost.interleave import Result
from bench.cost.schema import HeadRow
from bench.cost.timing import TooLong

LEAST_ROUNDS = 2  # of an operation that takes up to ONCE_MS

ONCE_MS = 1_500  # an operation that takes longer has one round

UPDATES = ("adam", "sgd")  # operations that run in the rounds of `step`, and have none of their own


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the measurement; the fields are keys of `cost` in the configuration."""

    rounds: int  # of fast operations
    operation_seconds: float  # for one operation of one contender in all rounds; slower operations have fewer rounds
    repeat_seconds: float  # for which a fast operation is repeated in one round
    longest_seconds: float  # of a first call, compilation included; a slower operation is left out


@dataclass(eq=False)
class Measurement(Result):
    """Result of one head or baseline."""

    contender: Contender
    smaller: HeadRow | None = None  # the contender's row at a smaller V, from an earlier ledger
    times_ms: dict[str, list[float]] = field(default_factory=dict)  # by operation, one time per round
    rounds_left: dict[str, int] = field(default_factory=dict)  # by operation, from its first round on
    build_ms: float = 0.0  # time of a round that no operation accounts for
    searchable: bool = False  # True if an approximate index can search its rows

    @property
    def due(self) -> bool:
        """True if an operation has rounds left; updates run in the rounds of `step`."""
        return not self.rounds_left or any(left for name, left in self.rounds_left.items() if name not in UPDATES)

    def operation_due(self, operation: str) -> bool:
        """True if this operation has rounds left, or has had none."""
        return self.rounds_left.get(operation, 1) > 0

    def add(self, operation: str, ms: float, limits: Limits) -> None:
        """Keep the time of one round; the first time decides how many rounds follow."""
        self.times_ms.setdefault(operation, []).append(ms)
        self.rounds_left[operation] = self.rounds_left.get(operation, self.rounds(ms, limits)) - 1

    def rounds(self, ms: float, limits: Limits) -> int:
        """Return the number of rounds of an operation that takes this long."""
        if ms > ONCE_MS:
            return 1
        affordable = int(1e3 * limits.operation_seconds / max(ms, self.build_ms, 1e-6))
        return min(limits.rounds, max(LEAST_ROUNDS, affordable))

    def seconds_per_round(self, ms: float, limits: Limits) -> float:
        """Return how long an operation is repeated in one round: the fewer rounds, the longer each."""
        return limits.repeat_seconds * limits.rounds / self.rounds(ms, limits)

    def fail(self, error: Exception, operation: str = "") -> None:
        """Leave the operation out of the next rounds; a failure outside of all operations is one of `build`."""
        operation = operation or "build"
        self.rounds_left[operation] = 0
        super().fail(error, operation)

    def check_step_fits(self, size: int, limits: Limits) -> None:
        """Check that two steps (warm-up and measurement) fit the time limit, if the time grows in proportion to V.

        The rule is the same for heads and baselines. A step whose time does not depend on V is far below the limit.

        Raises:
            TooLong: by the time at a smaller V, they take longer than `cost.longest_seconds`.
        """
        if self.smaller is None:
            return
        at, remedy = f"at V = {self.smaller.vocabulary_size:,}", "raise cost.longest_seconds"
        if self.smaller.step_ms is None and self.smaller.status == "slow":
            raise TooLong(f"not tried, as {at} it was cut off already; {remedy}")
        if self.smaller.step_ms:
            seconds = self.smaller.step_ms[1] / 1e3
            if 2 * seconds * size / self.smaller.vocabulary_size > limits.longest_seconds:
                raise TooLong(f"not tried, as {at} it took {seconds:.2g} s; {remedy}")
