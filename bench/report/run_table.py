"""Tidy tables of records: `runs` has one row per record; `cells` has one row per set of runs that differ only in seed.

A row of `cells` is an average over seeds. Elsewhere, as in README.md, a *cell* is one run: one system, V and seed.

A figure `x` in `cells` is the mean over the seeds whose status is ok, and `x_se` the standard error of that mean
(NaN with one seed).
"""

import dataclasses
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.core.record import SLOWED, Record, read_records
from bench.evaluation.intervals import BlockSums
from bench.evaluation.metrics import measured_metrics
from bench.report.glossary import TIMES
from bench.report.record_facts import budget, from_blocks, kind_of, origin, trunk
from bench.report.run_variants import GROUP, labels, names_of_texts, predictions_sha256, settings_of, variants

COMPETING = ("classifier", "regressor")  # kinds of systems that are trained on the same text, and are compared

CELL = [*GROUP, "vocabulary_size", "label"]

NUMBERS = [
    field.name
    for field in dataclasses.fields(Record)
    if field.type in (float | None, int | None) and field.name != "vocabulary_size"
]

UNKNOWN_SIZE = 0  # V of a cell that failed before its types were counted


def load(folders: list[Path]) -> pd.DataFrame:
    """Read every record below the folders; of a cell that is stored twice, the record that finished last counts."""
    last: dict[str, Record] = {}
    for path, record in read_records(folders):
        known = last.get(path.stem)
        if known is None or (record.finished_at or "") > (known.finished_at or ""):
            last[path.stem] = record
    return runs(list(last.values()))


def runs(records: list[Record]) -> pd.DataFrame:
    """Return a row per record: its fields, derived figures, and the `label` that tables and figures show."""
    names = [field.name for field in dataclasses.fields(Record)]
    frame = pd.DataFrame([{name: getattr(record, name) for name in names} for record in records], columns=names)
    frame[NUMBERS] = frame[NUMBERS].astype(float)  # None -> NaN
    frame["vocabulary_size"] = frame.vocabulary_size.astype(float).fillna(UNKNOWN_SIZE).astype(int)
    for name in registered_only():
        frame[name] = pd.Series([from_blocks(name, record) for record in records], frame.index, dtype=float)
    frame["corpus"] = names_of_texts(frame)
    frame["train_flops"] = frame.flops_per_position * frame.trained_words
    frame["kind"] = pd.Series([kind_of(record) for record in records], frame.index, dtype=object)
    frame["excess"] = excess_bits(frame)
    frame["competes"] = frame.kind.isin(COMPETING)
    frame["text_words"] = text_words(frame)
    frame["budget"] = [budget(*each) for each in zip(frame.config, frame.text_words, strict=True)]
    settings = pd.DataFrame([settings_of(run) for _, run in frame.iterrows()], frame.index, dtype=object)
    frame["label"], frame["settings"] = labels(frame, settings.fillna("null"))
    frame["variant"] = variants(frame, settings)
    frame["trunk"] = pd.Series([trunk(record) for record in records], frame.index, dtype=object)
    frame["origin"] = pd.Series([origin(record) for record in records], frame.index, dtype=object)
    frame["slowed"] = frame.cpu_share < SLOWED
    if (frame.train_seconds.notna() & ~frame.slowed).any():  # else all times are too long, and captions say so
        of_training = [each for each in TIMES if each != "encode_seconds"]  # the encoder may have run at another time
        frame = without_times(frame, frame.slowed, of_training)
    return one_per_seed(frame)


def without_times(runs: pd.DataFrame, chosen: pd.Series, names: Sequence[str]) -> pd.DataFrame:
    """Return the runs, where the chosen ones have none of the named times, and none in their learning curves.

    Args:
        chosen: which runs. [N] bool
    """
    timeless = [
        [{unit: value for unit, value in row.items() if unit != "seconds"} for row in curve] if is_chosen else curve
        for curve, is_chosen in zip(runs.curve, chosen, strict=True)
    ]
    kept = runs.assign(curve=timeless)
    kept.loc[chosen, [*names]] = nan
    return kept


def text_words(frame: pd.DataFrame) -> pd.Series:
    """Return the number of words of each run's training text; NaN if no run of the same text and limit recorded it."""
    limits = [str((config.get("corpus") or {}).get("train_words")) for config in frame.config]
    return frame.text_words.groupby([frame.corpus, pd.Series(limits, frame.index, dtype=object)]).transform("max")


def one_per_seed(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep one run per cell and seed: runs that differ in their generated text alone are no further seeds.

    A run that ended well counts before a run that failed, and then the run that finished last. Column `replaced` of
    that run is the number of the other runs. Predictions of another program that are scored with several seeds were
    trained once: of one file, the lowest seed counts.
    """
    files = frame.config.map(predictions_sha256)
    scored_again = files.notna() & frame.assign(file=files).sort_values("seed").duplicated([*CELL, "file"])
    frame = frame[~scored_again].copy()
    frame["replaced"] = frame.groupby([*CELL, "seed"]).status.transform("size") - 1
    order = frame.assign(ended_well=frame.status == "ok", time=frame.finished_at.fillna(""))
    last = order.sort_values(["ended_well", "time"], kind="stable").drop_duplicates([*CELL, "seed"], keep="last")
    return frame.loc[sorted(last.index)].reset_index(drop=True)


def figures() -> list[str]:
    """Return the columns that are averaged over seeds."""
    return [*NUMBERS, *registered_only(), "train_flops", "excess"]


def registered_only() -> list[str]:
    """Return the registered metrics that a Record has no field for."""
    return [name for name in measured_metrics() if name not in NUMBERS]


def excess_bits(frame: pd.DataFrame) -> pd.Series:
    """Return bits per word above the limit on the same test words; NaN if that is unknown. [N]"""
    bits = np.log2(frame.word_perplexity)
    words = frame.blocks.map(lambda sums: tuple(sums.get("words", ())))  # tell apart how much of a test text was read
    texts = pd.MultiIndex.from_arrays([frame.corpus, frame.vocabulary_size, pd.factorize(words)[0]])
    limit = pd.Series(bits.to_numpy(), texts)[((frame.kind == "limit") & (frame.status == "ok")).to_numpy()]
    return bits - limit.groupby(level=[0, 1, 2]).mean().reindex(texts).to_numpy()


def cells(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row per cell, sorted within a table: fewest bits per byte first, those that do not compete last."""
    rows = [dict(zip(CELL, key, strict=True)) | cell(group) for key, group in runs.groupby(CELL)]
    order = [*GROUP, "vocabulary_size", "competes", "bits_per_byte", "label"]
    rising = [each != "competes" for each in order]
    columns = None if rows else [*CELL, "competes", "bits_per_byte"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        order, ascending=rising, na_position="last", ignore_index=True
    )


def cell(group: pd.DataFrame) -> dict[str, Any]:
    """Average the runs of one cell."""
    ended_well = group.status == "ok"
    good, bad = (group, group[:0]) if ended_well.all() else (group[ended_well], group[~ended_well])
    first = (good if len(good) else group).iloc[0]
    row = {name: first[name] for name in ("system", "kind", "competes", "settings", "trunk", "variant")}
    row |= {"seeds": len(good), "failures": [failure(run) for _, run in bad.iterrows()]}
    row["origins"] = sorted(set(good.origin))
    row["is_proxy"] = bool(good.is_density.eq(False).any())
    means, errors = means_and_errors(good[figures()].to_numpy(float))
    row |= dict(zip(figures(), means, strict=True))
    row |= {f"{name}_se": each for name, each in zip(figures(), errors, strict=True)}
    has_draws = good.brier_n.notna() | good.blocks.map(lambda sums: "drawn" in sums)
    row["is_undefined"] = bool((good.brier_lm.isna() & has_draws).any())
    if row["is_undefined"]:  # in one seed: the mean of the other seeds would flatter the system
        row |= {"brier_lm": nan, "brier_lm_se": nan}
    row["blocks"] = BlockSums.from_seeds(list(good.blocks))
    deciles = np.array([each for each in good.accuracy_by_decile if each], dtype=float)  # [seeds, 10]
    row["accuracy_by_decile"] = deciles.mean(0) if len(deciles) else None
    spread = deciles.std(0, ddof=1) if len(deciles) > 1 else nan
    row["accuracy_by_decile_se"] = spread / max(1, len(deciles)) ** 0.5
    return row


def means_and_errors(figures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error of each column, NaN left out; the mean of no row and the error of one are NaN.

    [N, K] -> [K], [K]. By NumPy: pandas takes twenty times as long for a few rows, and a report has hundreds of cells.
    """
    count = (~np.isnan(figures)).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(figures, 0) / count
        variance = np.nansum((figures - mean) ** 2, 0) / (count - 1)
        return mean, np.sqrt(variance) / np.sqrt(count)


def in_group(frame: pd.DataFrame, group: tuple[str, str]) -> pd.DataFrame:
    """Return the rows of one corpus and budget."""
    return frame[(frame[GROUP] == list(group)).all(axis=1)]


def failure(run: pd.Series) -> str:
    """Return one line about a run that did not end well."""
    return f"seed {run.seed} {run.status}: {run.reason or 'no reason given'}"


def curve(runs: pd.DataFrame) -> pd.DataFrame:
    """Average the learning curves of one cell's runs: a row per validation that all runs reached."""
    curves = [pd.DataFrame(each) for each in runs[runs.status == "ok"].curve if each]
    if not curves:
        return pd.DataFrame()
    stacked = pd.concat(curves).groupby(level=0).filter(lambda rows: len(rows) == len(curves))
    by_row = stacked.groupby(level=0)
    return by_row.mean().join(by_row.sem().add_suffix("_se"))


def pareto(costs: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return which points are on the Pareto front: no other is as low in both and lower in one. [N], [N] -> [N] bool"""
    no_worse = (costs[:, None] >= costs) & (losses[:, None] >= losses)
    better = (costs[:, None] > costs) | (losses[:, None] > losses)
    return ~(no_worse & better).any(1)
