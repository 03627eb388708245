"""Every kind of cost ledger: how it is found in a folder, and the section that the report makes of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from bench.core.errors import SettingError
from bench.core.record import LEDGER
from bench.cost.ledger import Ledger
from bench.cost.schema import EncoderLedger, HeadLedger, LoopLedger
from bench.report.cost_tables import Sheet

KINDS: tuple[type[Ledger], ...] = (HeadLedger, EncoderLedger, LoopLedger)

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
    """Every ledger in the folders and the folders in them, the one last finished last.

    Raises:
        SettingError: a file is named as a ledger and is none.
    """
    paths = sorted({path for folder in folders for depth in ("", "*/") for path in folder.glob(f"{depth}*.json")})
    found = [kind_of(path).read(path) for path in paths if LEDGER.fullmatch(path.stem)]
    return sorted(found, key=lambda each: each.finished_at)


def kind_of(path: Path) -> type[Ledger]:
    """By the file's name: `v1000-…` a HeadLedger."""
    begins = path.stem.rpartition("-")[0].rstrip("0123456789")
    for kind in KINDS:
        if kind.begins == begins:
            return kind
    known = ", ".join(f"{kind.begins}…" for kind in KINDS)
    raise SettingError(str(path), f"is no kind of ledger that this version knows ({known}); move it away")


def of(ledgers: list[Ledger], kind: type[Kind]) -> list[Kind]:
    """Those of one kind."""
    return [each for each in ledgers if isinstance(each, kind)]
