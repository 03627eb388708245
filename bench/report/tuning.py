"""Tables of a search's trials: a table per system, best first by validation."""

from pathlib import Path

import pandas as pd
from rich.console import Console

from bench.evaluation.metric_definition import Column
from bench.evaluation.metrics import METRICS
from bench.report.glossary import COST
from bench.report.markdown import table_lines, write_document
from bench.report.number_format import mean_and_error
from bench.report.run_variants import settings_of
from bench.report.table import Part, Table, TableRow, Value
from bench.report.variant_names import written_out

CAPTION = (
    "Best first by validation nats per word: open, calibrated on one half of the validation words and measured on the "
    "other half. No trial was measured on the test text. V = {}, {} trials each."
)

NAMED = {"corpus": "{}", "budget": "{}", "vocabulary_size": "V = {:,}", "seed": "seed {}"}

SEARCH = ["system", *NAMED]  # trials of one search; those of another text, budget, V or seed do not compare

COLUMNS: list[Column] = [METRICS["validation_nats"], *(each for each in COST if each.name == "train_seconds")]


def is_trial(runs: pd.DataFrame) -> pd.Series:
    """Return which runs belong to a search. [N] bool"""
    return runs.config.map(lambda config: "trial" in config).astype(bool)


def write(trials: pd.DataFrame, path: Path) -> None:
    """Write a Markdown table per system, text, budget, V and seed, and print the best settings of each table."""
    searches = trials.groupby(SEARCH)
    counts = sorted({int(count) for count in searches.size()})
    sizes = ", ".join(f"{size:,}" for size in sorted(set(trials.vocabulary_size.astype(int))))
    lines = [CAPTION.format(sizes, " or ".join(map(str, counts))), ""]
    console = Console()
    several = [name for name in SEARCH if trials[name].nunique() > 1 and name != "system"]
    for key, family in searches:
        facts = dict(zip(SEARCH, key, strict=True))
        system = ", ".join([facts["system"], *(NAMED[name].format(facts[name]) for name in several)])
        drawn = family.assign(drawn=drawn_settings(family))
        ranked = drawn.sort_values(["validation_nats", "drawn"], na_position="last")
        rows = [trial_row(trial) for _, trial in ranked.iterrows()]
        lines += table_lines(Table(system, "", rows, [Part(COLUMNS)], label_heading="settings"), level=2)
        best = ranked.iloc[0]
        console.print(f"{system} ({best.drawn}): {best.validation_nats:.4f} validation nats", highlight=False)
    write_document(path, "Tuning", lines)


def trial_row(trial: pd.Series) -> TableRow:
    """Return the figures of one trial, or how it failed."""
    if trial.status != "ok":
        return TableRow(trial.drawn, "", {each.name: Value() for each in COLUMNS}, 0, [f"× {trial.status}"])
    values = {each.name: Value(mean_and_error(trial[each.name], digits=each.digits)) for each in COLUMNS}
    return TableRow(trial.drawn, "", values)


def drawn_settings(family: pd.DataFrame) -> pd.Series:
    """Write out the settings that distinguish the trials of one system; of two that always agree, the first. [N]"""
    settings = pd.DataFrame([settings_of(run) for _, run in family.iterrows()], index=family.index).fillna("none")
    varying = settings.loc[:, settings.nunique() > 1]
    kept = varying.T[~varying.T.duplicated()].T
    return pd.Series([written_out(run) for _, run in kept.iterrows()], family.index, dtype=object)
