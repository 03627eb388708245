"""Find cost ledgers in folders; `Section` is the part of the report about ledgers of one kind and setting."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from bench.core.stored_result import json_files
from bench.cost.ledger import Ledger
from bench.cost.schema import EncoderLedger, HeadLedger, LoopLedger, ledger_class
from bench.report.table import Table

Kind = TypeVar("Kind", bound=Ledger)


@dataclass(frozen=True)
class Section:
    """Report on ledgers of one kind and setting, on one machine."""

    title: str
    facts: str  # what the numbers were measured on
    ledgers: list[Ledger]
    name: str = ""  # suffix of the figures' file names
    headline: list[str] = field(default_factory=list)
    summary: list[Table] = field(default_factory=list)
    sizes: list[Table] = field(default_factory=list)  # tables per V
    figures: dict[str, Figure] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)  # the figures as SVG, once they are saved


def load(folders: list[Path]) -> list[Ledger]:
    """Read every ledger in the folders and their direct subfolders, sorted by the time when each finished.

    Raises:
        SettingError: a ledger cannot be read.
    """
    ledgers = [kind.read(path) for path in json_files(folders) if (kind := ledger_class(path)) is not None]
    return sorted(ledgers, key=lambda each: each.finished_at)


def of_kind(ledgers: list[Ledger], kind: type[Kind]) -> list[Kind]:
    """Return the ledgers of one kind."""
    return [each for each in ledgers if isinstance(each, kind)]


def machine(ledger: EncoderLedger | HeadLedger | LoopLedger) -> str:
    """Return the machine of a ledger, as `AMD EPYC, 2 threads`."""
    return f"{ledger.device}, {ledger.threads} thread{'s' if ledger.threads > 1 else ''}"
