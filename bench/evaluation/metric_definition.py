"""Types of the metric registry: a column that a reader sees, and a metric that is computed from sums of positions.

N test positions, B blocks of test documents. Imports nothing heavy: the report reads this module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ARROW = {"lower": "↓", "higher": "↑", "neither": ""}

Sums = Mapping[str, NDArray[np.float64]]  # name of a sum -> [..., B], or the total [...]


@dataclass(frozen=True, eq=False)
class Positions:
    """Values per test position of one model: all that a sum may read. [N] each"""

    bytes: NDArray  # UTF-8 bytes of the word, a separator included
    raw_bytes: NDArray | None  # UTF-8 bytes of the text as its owner wrote it; None if the corpus has no raw text
    known: NDArray  # bool: the word is in the vocabulary
    searched: NDArray  # bool: in the sample that a model of word pieces is ranked on
    rank: NDArray  # by raw score; infinite: a miss; NaN: not measured
    calibrated_rank: NDArray
    nats: NDArray  # calibrated; the spelling of an out-of-vocabulary word included
    raw_nats: NDArray
    rank_nats: NDArray | None  # under a distribution that knows ranks alone; None if not measured
    brier: NDArray | None
    brier_n: NDArray | None  # [N, 4] estimates of Brier-1 … Brier-4; NaN: not drawn


PerPosition = Callable[[Positions], NDArray | None]  # -> [N], or None if the model was not measured that way


@dataclass(frozen=True)
class Ratio:
    """A metric's formula: the ratio of two sums, transformed."""

    numerator: str
    denominator: str
    transform: Callable[[NDArray], NDArray] = np.asarray


Formula = Ratio | Callable[[Sums], NDArray]


@dataclass(frozen=True)
class Column:
    """A figure in a table: its heading, its unit, and its meaning to a first reader."""

    name: str  # field of a record or ledger
    heading: str
    direction: Literal["lower", "higher", "neither"]  # the better one
    unit: str
    definition: str
    meaning: str
    source: str = ""  # paper or standard, with its year; empty if the definition says all
    scale: float = 1.0  # shown value = scale × recorded value
    digits: int = 3  # significant digits, at most
    grows: bool = False  # True for a cost that depends on V: a panel in the figure of costs against V

    @property
    def arrow(self) -> str:
        return ARROW[self.direction]

    @property
    def heading_with_arrow(self) -> str:
        return f"{self.heading} {self.arrow}".strip()


@dataclass(frozen=True)
class Metric(Column):
    """A quality figure: a column, and how it follows from sums of values per position."""

    sums: Mapping[str, PerPosition] | None = None  # None: the figure does not follow from sums
    formula: Formula | None = None
    place: Literal["headline", "detail", "record"] = "detail"  # first table, folded table, or in no table
    is_compared: bool = False  # in the table of differences to the baseline, and tested for significance
    assumes_density: bool = False  # True: a proxy if the scores are no log-probabilities


def evaluate(formula: Formula, sums: Sums) -> NDArray[np.float64]:
    """Compute a figure from sums; NaN if it is undefined, or if a sum is missing. [...] each -> [...]"""
    with np.errstate(all="ignore"):
        try:
            if isinstance(formula, Ratio):
                return formula.transform(np.asarray(sums[formula.numerator]) / sums[formula.denominator])
            return formula(sums)
        except KeyError:
            return np.asarray(np.nan)
