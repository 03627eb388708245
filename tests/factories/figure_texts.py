"""Records and a cost ledger that the figures of a text are computed from, and the print of such figures."""

from pathlib import Path

from bench.core.record import Record
from bench.report import run_table
from bench.report.published import fill
from factories.ledgers import head_ledger, ledger_row
from factories.records import blocked_record, write_all

MEAN = 2.01 + 0.00625  # bits per byte of softmax: mean over three seeds, and mean difficulty of the documents


def config(kind: str, level: str | None = None, size: int = 1000) -> dict:
    """Settings of a run; `level` of the targets that a regressor's head reads."""
    head = {"targets": {"name": "bert", "level": level}} if level else {}
    return {
        "system": {"name": "any", "kind": kind, "head": head},
        "targets": {"name": "bert", "level": level or "type"},
        "vocabulary": {"size": size},
        "inputs": "learned",
    }


def seeds_of(system: str, bits: float, level: str | None = None, noise: float = 0.0, seeds: int = 3) -> list[Record]:
    settings = config("regressor" if level else "classifier", level)
    return [
        blocked_record(system, bits + 0.01 * seed, noise, seed=seed, config=settings, parameters=1_500_000 + seed)
        for seed in range(seeds)
    ]


def write_records(folder: Path) -> None:
    """Write records into `runs` and cost ledgers into `costs`."""
    diagnosis = {"lost_to_fit": 0.125, "read_outs": [{"read_out": "probe", "nats": 5.5}]}
    token = blocked_record("cosine", 2.8, config=config("regressor", "token"), diagnosis=diagnosis)
    records = [*seeds_of("softmax", 2.0), *seeds_of("nce", 2.0, noise=0.05), *seeds_of("cosine", 2.4, "type", 0.01)]
    (folder / "runs").mkdir()
    write_all([*records, token], folder / "runs")
    ledgers = [head_ledger(size, [ledger_row("cosine", size), ledger_row("softmax", size)]) for size in (1000, 10_000)]
    for each in ledgers:
        each.write(folder / "costs" / f"v{each.vocabulary_size}-0123abcd")


def filled(folder: Path, text: str) -> str:
    """Return a text after its figures are filled, which all succeed."""
    path = folder / "text.md"
    path.write_text(text)
    assert fill(path)[1] == []
    return path.read_text()


def printed(folder: Path, query: str, old: str = "?", where: str = "runs") -> str:
    """Return the print of one figure."""
    return filled(folder, f'[{old}]({where} "{query}") one seed').partition("]")[0].removeprefix("[")


def problem(folder: Path, query: str, old: str = "?", where: str = "runs") -> str:
    """Return the reason why one figure cannot be filled; its text stays."""
    path = folder / "text.md"
    path.write_text(before := f'[{old}]({where} "{query}")')
    changes, (line,) = fill(path)
    assert changes == [] and path.read_text() == before
    return line


def cells(folder: Path) -> dict[str, object]:
    return {cell.label: cell for _, cell in run_table.cells(run_table.load([folder / "runs"])).iterrows()}
