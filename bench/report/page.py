"""Runs, cells and figures -> one HTML page that loads nothing and runs nothing."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.core.files import write_atomically
from bench.cost.ledger import Ledger
from bench.report import break_even, cost_glossary, plots
from bench.report.glossary import COST, QUALITY
from bench.report.leaderboard import Table
from bench.report.ledgers import Section
from bench.report.number_format import listed
from bench.report.run_table import GROUP, failure, of
from bench.report.significance import COMPARED, REFERENCE, stands

REGRESSORS = {
    "mse": "MSE regression", "cosine": "Cosine regression", "vmf": "Von Mises-Fisher regression", "infonce": "InfoNCE",
}  # fmt: skip

CSS_COLOURS = {plots.INK: "ink", plots.MUTED: "muted", plots.GRID: "grid", plots.PAPER: "card"}

Pictures = dict[tuple[str, str], dict[str, str]]  # corpus and budget -> figures by name, as SVG


def write(
    runs: pd.DataFrame,
    cells: pd.DataFrame,
    tables: list[Table],
    pictures: Pictures,
    path: Path,
    costed: Sequence[Section] = (),
) -> None:
    """Put the page in place."""
    # autoescape by name would leave out `.jinja`; records hold text that a model or a user wrote
    loader, blocks = FileSystemLoader(Path(__file__).parent / "templates"), {"trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, **blocks)
    several = [field for field in GROUP if runs[field].nunique() > 1]
    sections = [
        section(of(runs, group), of(cells, group), [t for t in tables if (t.corpus, t.budget) == group], drawn)
        | {
            "title": " · ".join(
                titled(field, name) for field, name in zip(GROUP, group, strict=True) if field in several
            )
        }
        for group, drawn in sorted(pictures.items())
    ]
    bad = runs[runs.status != "ok"].sort_values(["corpus", "vocabulary_size", "label", "seed"])
    failures = [(run.corpus, run.vocabulary_size, run.label, failure(run)) for _, run in bad.iterrows()]
    text = environment.get_template("page.html.jinja").render(
        sections=sections,
        failures=failures,
        entries=(*QUALITY, *COST),
        compared=COMPARED,
        reference=REFERENCE,
        costs=[shown(each) for each in costed],
        cost_entries=cost_glossary.EVERY,
        footer=footer(runs, [ledger for each in costed for ledger in each.ledgers]),
    )
    write_atomically(path, lambda file: file.write(text.encode("utf-8", "replace")))


def titled(field: str, name: str) -> str:
    """`Corpus: kjv`, `Equal time: 15 s of training`."""
    return f"Corpus: {name}" if field == "corpus" else (name[:1].upper() + name[1:]) or "Budget not recorded"


def section(runs: pd.DataFrame, cells: pd.DataFrame, tables: list[Table], pictures: dict[str, str]) -> dict[str, Any]:
    """What the page says about one corpus and budget."""
    prefix = "-".join(map(str, runs[GROUP].iloc[0]))
    return {
        "headline": [*headline(cells)],
        "tables": tables,
        "figures": [(name.replace("_", " "), inlined(svg, f"{prefix}-{name}")) for name, svg in pictures.items()],
        "paid": break_even.in_runs(cells),
        "texts": generated(runs, cells),
    }


def headline(cells: pd.DataFrame) -> Iterator[str]:
    """What the numbers say, in sentences; one about a system that is absent is left out."""
    trained = cells[cells.competes & cells.bits_per_byte.notna()].sort_values(["vocabulary_size", "bits_per_byte"])
    if trained.empty:
        return
    best = trained.drop_duplicates("vocabulary_size")
    second = trained.drop(best.index).drop_duplicates("vocabulary_size").set_index("vocabulary_size")
    for label, won in best.groupby("label", sort=False):
        bits = listed(f"{each:.2f}" for each in won.bits_per_byte)
        yield f"{label} needs the fewest bits per byte at V = {sizes(won.vocabulary_size)}: {bits}{lead(won, second)}."
    ranked = trained.drop_duplicates(["system", "vocabulary_size"]).set_index(["system", "vocabulary_size"])
    for system, name in REGRESSORS.items():
        if {system, REFERENCE} <= set(trained.system):
            yield from gap(ranked.loc[system], ranked.loc[REFERENCE], name)


def lead(won: pd.DataFrame, second: pd.DataFrame) -> str:
    """Whether the best can be told from the next best; empty where no interval says."""
    clauses: dict[tuple[str, bool], list[int]] = {}
    for _, cell in won[won.vocabulary_size.isin(second.index)].iterrows():
        other = second.loc[cell.vocabulary_size]
        if (ahead := stands(cell, other, "bits_per_byte")) is not None:
            clauses.setdefault((other.label, ahead), []).append(cell.vocabulary_size)
    parts = [
        f"ahead of {label} at V = {sizes(where)}, interval excludes 0"
        if ahead
        else f"no difference to {label} can be told at V = {sizes(where)}"
        for (label, ahead), where in clauses.items()
    ]
    return "".join(f"; {part}" for part in parts)


def gap(ours: pd.DataFrame, theirs: pd.DataFrame, name: str) -> Iterator[str]:
    """One regressor against the reference, best variant against best, at every V where both have a cell."""
    shared = ours.index.intersection(theirs.index)
    if shared.empty:
        return
    ours, theirs = ours.loc[shared], theirs.loc[shared]
    bits = extent(ours.bits_per_byte - theirs.bits_per_byte, 2)
    parts = [f"{bits} bits per byte{certainty(ours, theirs, 'bits_per_byte')}"]
    for kind in ("accuracy_at_1", "calibrated_accuracy_at_1"):
        points = (ours[kind] - theirs[kind]).dropna() * 100
        if len(points):
            which = "calibrated" if kind[0] == "c" else "raw"
            parts.append(f"{extent(points, 1)} points of {which} accuracy@1{certainty(ours, theirs, kind)}")
    ratio = (ours.head_train_ms_per_1k / theirs.head_train_ms_per_1k).dropna()
    if len(ratio):
        parts.append(f"{ratio.iloc[-1]:.2g} times the time to train the head (V = {ratio.index[-1]:,})")
    yield f"{name} against {REFERENCE} at V = {sizes(shared)}: {listed(parts)}."


def certainty(ours: pd.DataFrame, theirs: pd.DataFrame, field: str) -> str:
    """What the intervals of one figure's differences say, in brackets; empty where there is none."""
    every = {size: stands(ours.loc[size], theirs.loc[size], field) for size in ours.index}
    known = {size: certain for size, certain in every.items() if certain is not None}
    doubtful = [size for size, certain in known.items() if not certain]
    if not known:
        return ""
    if not doubtful:
        return " (interval excludes 0)" if len(known) == 1 else " (intervals exclude 0)"
    where = f" at V = {sizes(doubtful)}" if len(doubtful) < len(known) else ""
    return f" (no difference can be told{where})"


def sizes(values: Iterable[int]) -> str:
    return listed(f"{value:,}" for value in values)


def extent(values: pd.Series, decimals: int) -> str:
    """`+0.30`, or `+0.30 to +0.41` where V changes it."""
    ends = [f"{value:+.{decimals}f}".replace("-", "−") for value in (values.min(), values.max())]
    return " to ".join(dict.fromkeys(ends))


def generated(runs: pd.DataFrame, cells: pd.DataFrame) -> dict[str, Any] | None:
    """Texts of the lowest seed, prompts by systems, at the V where most systems wrote (ties: the largest)."""
    wrote = runs[runs.generations.astype(bool) & (runs.status == "ok")].sort_values("seed")
    if wrote.empty:
        return None
    wide = wrote.groupby("vocabulary_size").label.nunique()
    size = wide[wide == wide.max()].index.max()
    here = wrote[wrote.vocabulary_size == size].groupby("label").first()
    labels = [label for label in cells[cells.vocabulary_size == size].label if label in here.index]
    texts = {label: {row["prompt"]: row for row in here.generations[label]} for label in labels}
    prompts = dict.fromkeys(prompt for rows in texts.values() for prompt in rows)
    return {
        "size": size,
        "labels": labels,
        "rows": [(prompt, [texts[label].get(prompt) for label in labels]) for prompt in prompts],
    }


def inlined(svg: str, name: str) -> str:
    """A figure to stand inside the page: ids of its own, colours that follow the page's."""
    text = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    prefix = re.sub(r"\W", "_", name)
    text = re.sub(r'( id="|url\(#|href="#)', rf"\1{prefix}-", text)
    for colour, variable in CSS_COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    return text


def shown(section: Section) -> Section:
    """The same, its pictures fit to stand inside the page."""
    inside = {name: inlined(svg, f"costs{section.name}-{name}") for name, svg in section.pictures.items()}
    return replace(section, pictures=inside)


def footer(runs: pd.DataFrame, ledgers: list[Ledger]) -> list[tuple[str, str]]:
    """Where the numbers come from."""
    shared = ["experiment", "versions", "device", "git_commit", "finished_at"]
    costed = pd.DataFrame([{name: getattr(each, name) for name in shared} for each in ledgers], columns=shared)
    both = pd.concat([runs[shared].astype(object), costed.astype(object)])
    versions = sorted({f"{package} {version}" for each in both.versions for package, version in each.items()})
    facts = {
        "records": f"{len(runs):,}" if len(runs) else "",
        "cost ledgers": f"{len(ledgers):,}" if ledgers else "",
        "experiments": ", ".join(sorted(set(both.experiment))),
        "versions": ", ".join(versions),
        "device": ", ".join(sorted(set(both.device.dropna()))),
        "git commit": ", ".join(sorted({commit[:12] for commit in both.git_commit.dropna()})),
        "corpus sha256": ", ".join(sorted({digest[:16] for digest in runs.corpus_sha256.dropna()})),
        "finished": max(both.finished_at.dropna(), default=""),
    }
    return [(name, value) for name, value in facts.items() if value]
