"""Data flows one way: a module imports only from those above it in this list."""

import ast
from pathlib import Path

import bench

ORDER = """
glossary errors arithmetic secrets launchers settings refusals draws locking stopping memory record ledger.files
ledger.rows ledger.readings ledger.loops cache provenance ledger.header synthetic text hub corpus vocabulary ngram
spelling checkpoint lastly reader encoder targets steps pieces batches backbones rows kernels heads models subword
evaluation.intervals evaluation.calibration evaluation.ranks evaluation.ruler evaluation.brier evaluation.score
evaluation.writing evaluation.words evaluation.look evaluation.metrics evaluation.generation progress resuming
training cost loggers build places devices trained cell ledger.clock ledger.scene ledger.acts ledger.answers
ledger.compiling ledger.systems ledger.peers ledger.searchers ledger.notes ledger.rounds ledger.indexes ledger.job
ledger.passes ledger.drift ledger.turns ledger.encoding ledger.watch ledger.courses ledger.looping pretrained report
cli trust generate verify slurm follower sweep __main__
""".split()
FOLDERS = {"evaluation", "ledger"}  # of modules that have places of their own
ROOT = Path(bench.__file__).parent


def module(path: Path) -> str:
    """bench/evaluation/score.py -> evaluation.score; one entry for a folder of equals."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return parts[0] if parts and parts[0] in ("backbones", "kernels", "heads", "report") else ".".join(parts)


def imported(path: Path) -> set[str]:
    """The modules of this package that a file names in its imports, wherever they stand in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bench":
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == "bench"}
    known = {*ORDER, *FOLDERS}
    parts = [name.split(".")[1:] for name in names]
    return {
        next(".".join(part[:length]) for length in (2, 1) if ".".join(part[:length]) in known) for part in parts if part
    }


def files() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if module(path)]


def test_every_module_has_its_place():
    assert {module(path) for path in files()} - FOLDERS == set(ORDER)


def test_no_module_imports_from_below():
    for path in files():
        own = module(path)
        if own in FOLDERS:
            continue
        below = {name for name in imported(path) if ORDER.index(name) > ORDER.index(own)}
        assert not below, f"{own} imports {below}"


def test_the_report_reads_nothing_but_records():
    for path in (ROOT / "report").glob("*.py"):
        assert imported(path) <= {
            *("record", "errors", "ledger.files", "ledger.rows", "ledger.readings", "ledger.loops"),
            *("report", "glossary", "evaluation.intervals"),
        }
