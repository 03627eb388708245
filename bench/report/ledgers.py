"""Every kind of cost ledger: how it is found in a folder, and the section that the report makes of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from bench.cost.ledger import Ledger
from bench.cost.schema import ledger_class
from bench.report.cost_tables import Sheet

Kind = TypeVar("Kind", bound=Ledger)


@dataclass(frozen=True)
class Section:
    """What the report says about ledgers of one kind and setting, on one machine."""

    title: str
    facts: str  # what the numbers were measured on
    ledgers: list[Ledger]
    name: str = ""  # of its figures' files
    headline: list[str] = field(default_factory=list)
    summary: list[Sheet] = field(default_factory=list)
    sizes: list[Sheet] = field(default_factory=list)  # V by V
    figures: dict[str, Figure] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)  # the same, once saved, as SVG


def load(folders: list[Path]) -> list[Ledger]:
    """Read every ledger in the folders and their direct subfolders, sorted by the time when each finished.

    Raises:
        SettingError: a ledger cannot be read.
    """
    paths = sorted({path for folder in folders for depth in ("", "*/") for path in folder.glob(f"{depth}*.json")})
    ledgers = [kind.read(path) for path in paths if (kind := ledger_class(path)) is not None]
    return sorted(ledgers, key=lambda each: each.finished_at)


def of(ledgers: list[Ledger], kind: type[Kind]) -> list[Kind]:
    """Those of one kind."""
    return [each for each in ledgers if isinstance(each, kind)]
