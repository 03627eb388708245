"""One self-contained HTML page of runs, cells and figures: it contains its scripts, and loads nothing."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.files import write_atomically
from bench.cost.ledger import Ledger
from bench.cost.schema import HeadLedger
from bench.report import break_even, cost_glossary, page_charts, page_script, recommend, recommend_costs, run_table
from bench.report.best import main_board
from bench.report.generation_texts import generated_texts, generation_section
from bench.report.glossary import COST, shown_quality
from bench.report.headline import headline
from bench.report.leaderboard import Leaderboard
from bench.report.ledgers import Section, of_kind
from bench.report.origins import with_times_of_one_origin
from bench.report.page_table import page_table
from bench.report.plot_style import BACKGROUND, GRID, INK, MUTED
from bench.report.recommend import Answer
from bench.report.record_facts import budget_order
from bench.report.run_table import failure, in_group
from bench.report.run_variants import GROUP
from bench.report.significance import REFERENCE
from bench.report.table import Table

CSS_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", BACKGROUND: "card"}  # by the colour that each replaces

Drawings = dict[tuple[str, str], dict[str, str]]  # (corpus, budget) -> SVG text by the figure's name


def write(
    runs: pd.DataFrame,
    cells: pd.DataFrame,
    tables: list[Leaderboard],
    drawings: Drawings,
    path: Path,
    cost_sections: Sequence[Section] = (),
    baseline: str = REFERENCE,
    growth: Sequence[str] = (),
    laws: Sequence[Table] = (),
) -> None:
    """Write the page to `path`.

    Args:
        baseline: system or label that others are compared with.
        growth: SVG texts of quality as the training text grows, one per corpus.
        laws: tables of the law of that growth.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # only when a page is written

    # autoescape by name would leave out `.jinja`; records hold text that a model or a user wrote
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    several = [field for field in GROUP if runs[field].nunique() > 1]
    sections, timed = [], [cells[:0]]
    for group, drawn in sorted(drawings.items(), key=lambda each: (each[0][0], budget_order(each[0][1]))):
        title = " · ".join(section_title(*part) for part in zip(GROUP, group, strict=True) if part[0] in several)
        here, origin = with_times_of_one_origin(in_group(runs, group))
        timed.append(run_table.cells(here) if origin else in_group(cells, group))
        sections.append(
            {"title": title, "times": f" Times: {origin}." if origin else ""}
            | section(in_group(runs, group), in_group(cells, group), timed[-1], drawn)
        )
    times = pd.concat(timed)
    bad = runs[runs.status != "ok"].sort_values(["corpus", "vocabulary_size", "label", "seed"])
    ledgers = [ledger for each in cost_sections for ledger in each.ledgers]
    about_costs = [*recommend_costs.from_ledgers(of_kind(ledgers, HeadLedger))]
    answers = [*recommend.from_records(runs), *about_costs]
    scripts = page_script.scripts(has_charts=any(each["charts"] for each in sections))
    text = environment.get_template("page.html.jinja").render(
        headline=headline(tables, times) or cost_headline(about_costs, cost_sections),
        answers=answers,
        choices=recommend.control(answers),
        chosen=recommend.first_choice(answers, main_board(tables)),
        board=page_table(tables, times),
        baseline=baseline,
        tables=tables,
        growth=[inline_svg(svg, f"growth{i}") for i, svg in enumerate(growth)],
        laws=laws,
        sections=sections,
        failures=[(run.corpus, run.vocabulary_size, run.label, failure(run)) for _, run in bad.iterrows()],
        entries=(*shown_quality(), *COST),
        costs=[with_inline_svgs(each) for each in cost_sections],
        cost_entries=cost_glossary.EVERY_COST,
        footer=footer(runs, ledgers),
        scripts=scripts,
        digests=[page_script.digest(each) for each in scripts],
    )
    write_atomically(path, lambda file: file.write(text.encode("utf-8", "replace")))


def cost_headline(answers: Sequence[Answer], sections: Sequence[Section]) -> list[str]:
    """Return the opening of a page without records: the least costs at the largest V, or the first comparisons."""
    sizes = [int(each.choice["size"].replace(",", "")) for each in answers]
    largest = [each for each, size in zip(answers, sizes, strict=True) if size == max(sizes)]
    said = [f"At V = {each.choice['size']}, {each.reasons[0]}" for each in largest]
    return (said or [sentence for each in sections for sentence in each.headline])[:3]


def section_title(field: str, name: str) -> str:
    """Return `Corpus: kjv` or `Equal time: 15 s of training`."""
    return f"Corpus: {name}" if field == "corpus" else (name[:1].upper() + name[1:]) or "Budget not recorded"


def section(runs: pd.DataFrame, cells: pd.DataFrame, timed: pd.DataFrame, drawn: dict[str, str]) -> dict[str, Any]:
    """Return the template's values for one corpus and budget; `timed` are cells with the times of one origin."""
    prefix = "-".join(map(str, runs[GROUP].iloc[0]))
    return {
        "charts": page_charts.quality_vs_cost(timed),
        "figures": [(name.replace("_", " "), inline_svg(svg, f"{prefix}-{name}")) for name, svg in drawn.items()],
        "break_even": break_even.tables_in_runs(runs),
        "texts": generated_texts(runs, cells),
        "generation": generation_section(runs, cells),
    }


def inline_svg(svg: str, name: str) -> str:
    """Return an SVG for use inside the page: its ids are unique, its neutral colours are those of the page."""
    text = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    prefix = re.sub(r"\W", "_", name)
    text = re.sub(r'( id="|url\(#|href="#)', rf"\1{prefix}-", text)
    for colour, variable in CSS_VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text


def with_inline_svgs(section: Section) -> Section:
    """Return the section with pictures that can be used inside the page."""
    svgs = {name: inline_svg(svg, f"costs{section.name}-{name}") for name, svg in section.pictures.items()}
    return replace(section, pictures=svgs)


def footer(runs: pd.DataFrame, ledgers: list[Ledger]) -> list[tuple[str, str]]:
    """Return (name, value) of what the numbers were measured with; without empty values."""
    shared = ["experiment", "versions", "device", "git_commit", "finished_at"]
    costs = pd.DataFrame([{name: getattr(each, name) for name in shared} for each in ledgers], columns=shared)
    both = pd.concat([runs[shared].astype(object), costs.astype(object)])
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
