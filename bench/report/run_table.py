"""Records -> tidy tables: `runs`, a row a record, and `cells`, a row for what only the seed tells apart.

A cell's figure `x` is the mean over the seeds that ended well, and `x_se` the standard error of that mean
(not a number with one seed).
"""

import dataclasses
import json
from collections.abc import Mapping
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.core.identity import OUTSIDE_IDENTITY
from bench.core.record import Record, read_records
from bench.evaluation.intervals import Blocks

LIMIT = "truth"  # the language's own distribution, where it is known

KINDS = {"unigram": "floor", "ngram": "floor", LIMIT: "limit"}  # systems that train no network, and do not compete

GROUP = ["corpus", "budget"]  # what one report section compares: equal data and equal time never mix

CELL = [*GROUP, "vocabulary_size", "label"]

NUMBERS = [field.name for field in dataclasses.fields(Record) if field.type in (float | None, int | None)]

FIGURES = [*NUMBERS, "train_flops", "excess"]

ALIKE = ("seed", "vocabulary.size", "budget.words", "budget.seconds")  # settings that a cell or a table stands for


def load(folders: list[Path]) -> pd.DataFrame:
    """Every record below the folders; a cell that lies in two of them counts once, as last finished."""
    found: dict[str, Record] = {}
    for path, record in read_records(folders):
        known = found.get(path.stem)
        if known is None or (record.finished_at or "") > (known.finished_at or ""):
            found[path.stem] = record
    return runs(list(found.values()))


def runs(records: list[Record]) -> pd.DataFrame:
    """A row a record: its fields, what follows from them, and the `label` that tables and figures show."""
    names = [field.name for field in dataclasses.fields(Record)]
    frame = pd.DataFrame([{name: getattr(record, name) for name in names} for record in records], columns=names)
    frame[NUMBERS] = frame[NUMBERS].astype(float)  # None -> not a number
    frame["train_flops"] = frame.flops_per_position * frame.trained_words
    frame["excess"] = excess(frame)
    frame["kind"] = frame.system.map(KINDS).fillna("")
    frame["competes"] = frame.kind == ""
    frame["budget"] = [budget(config) for config in frame.config]
    frame["label"] = labels(frame)
    return frame


def excess(frame: pd.DataFrame) -> pd.Series:
    """Bits per word above the limit; not a number where it is not known. [N]"""
    bits = np.log2(frame.word_perplexity)
    limit = bits[(frame.system == LIMIT) & (frame.status == "ok")]
    limit = limit.groupby([frame.corpus, frame.vocabulary_size]).mean()
    return bits - limit.reindex(pd.MultiIndex.from_frame(frame[["corpus", "vocabulary_size"]])).to_numpy()


def budget(config: Mapping[str, Any]) -> str:
    """What all systems of one table were given alike; empty where the record does not say."""
    words, seconds = (config.get("budget", {}).get(unit) for unit in ("words", "seconds"))
    data, time = words and f"{words:,} words", seconds and f"{seconds:g} s of training"
    if data and time:
        return f"equal limits: {data} or {time}"
    return f"equal data: {data}" if data else f"equal time: {time}" if time else ""


def labels(frame: pd.DataFrame) -> pd.Series:
    """The system's name, and in brackets whatever else than the seed tells its runs at one V apart.

    Runs of one system that differ in a setting would otherwise be averaged as if they were seeds.
    """
    label = frame.system.astype(str)
    for _, family in frame.groupby([*GROUP, "system"]):
        settings = pd.DataFrame([distinguishing(run) for _, run in family.iterrows()], index=family.index)
        settings = settings.fillna("null")  # what a record from before a setting stands for
        at_one_size = settings.groupby(family.vocabulary_size).nunique().max()
        differing = sorted(at_one_size.index[at_one_size > 1], key=lambda key: (key.count("."), len(key), key))
        told: list[str] = []  # shortest first; what those before it decide, as a group's choice does, need not be told
        for key in differing:
            if len(settings[[*told, key]].drop_duplicates()) > (len(settings[told].drop_duplicates()) if told else 1):
                told.append(key)
        for index, run in settings[told].iterrows():
            if told:
                label[index] += " (" + ", ".join(f"{key}={value}" for key, value in run.items()) + ")"
    return label


def distinguishing(run: pd.Series) -> dict[str, str]:
    """Every setting of a run that makes it another cell, by its dotted key."""
    kept = {key: value for key, value in run.config.items() if key not in OUTSIDE_IDENTITY}
    settings = {key: value for key, value in flat(kept).items() if key not in ALIKE}
    return settings | {"backbone": str(run.backbone), "device": str(run.device)}


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings -> dotted keys."""
    leaves: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value if isinstance(value, str) else json.dumps(value)
    return leaves


def cells(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a cell, best bits per byte first within a table; floors and limits last, failures before them."""
    rows = []
    for key, group in runs.groupby(CELL):
        good = group[group.status == "ok"]
        bad = group[group.status != "ok"]
        row = dict(zip(CELL, key, strict=True)) | {
            "system": group.system.iloc[0],
            "kind": group.kind.iloc[0],
            "competes": group.competes.iloc[0],
        }
        row |= {"seeds": len(good), "failures": [failure(run) for _, run in bad.iterrows()]}
        row["is_proxy"] = bool(good.is_density.eq(False).any())
        row |= {name: good[name].mean() for name in FIGURES}
        row |= {f"{name}_se": good[name].sem() for name in FIGURES}  # sem: ddof 1, NaN with one seed
        row["is_undefined"] = bool((good.brier_lm.isna() & good.brier_n.notna()).any())
        if row["is_undefined"]:  # in one seed: the mean of the others would flatter it
            row |= {"brier_lm": nan, "brier_lm_se": nan}
        row["blocks"] = Blocks.of(list(good.blocks))
        deciles = np.array([each for each in good.accuracy_by_decile if each], dtype=float)  # [seeds, 10]
        row["accuracy_by_decile"] = deciles.mean(0) if len(deciles) else None
        spread = deciles.std(0, ddof=1) if len(deciles) > 1 else nan
        row["accuracy_by_decile_se"] = spread / max(1, len(deciles)) ** 0.5
        rows.append(row)
    order = [*GROUP, "vocabulary_size", "competes", "bits_per_byte", "label"]
    rising = [each != "competes" for each in order]
    columns = None if rows else [*CELL, "competes", "bits_per_byte"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        order, ascending=rising, na_position="last", ignore_index=True
    )


def of(frame: pd.DataFrame, group: tuple[str, str]) -> pd.DataFrame:
    """The rows of one corpus and budget."""
    return frame[(frame[GROUP] == list(group)).all(axis=1)]


def failure(run: pd.Series) -> str:
    """One line: how a run ended."""
    return f"seed {run.seed} {run.status}: {run.reason or 'no reason given'}"


def curve(runs: pd.DataFrame) -> pd.DataFrame:
    """The mean learning curve of one cell's runs: a row a validation that all of them reached."""
    curves = [pd.DataFrame(each) for each in runs[runs.status == "ok"].curve if each]
    if not curves:
        return pd.DataFrame()
    stacked = pd.concat(curves).groupby(level=0).filter(lambda rows: len(rows) == len(curves))
    by_row = stacked.groupby(level=0)
    return by_row.mean().join(by_row.sem().add_suffix("_se"))


def pareto(costs: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """[N] costs and losses -> [N] bool: no other point is as low in both and lower in one."""
    no_worse = (costs[:, None] >= costs) & (losses[:, None] >= losses)
    better = (costs[:, None] > costs) | (losses[:, None] > losses)
    return ~(no_worse & better).any(1)
