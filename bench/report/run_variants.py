"""Tell runs apart: their text, the label of their variant, and the variant across budgets.

Runs with one text, V, budget and label are the seeds of one cell.
"""

import json
import re
from typing import Any

import pandas as pd

from bench.core.dotted import flatten
from bench.core.history import ADDED, with_first_defaults, without_added
from bench.core.identity import OUTSIDE_IDENTITY, without_description, without_hashed_paths
from bench.report.variant_names import deciding_settings, variant_labels, written_out

GROUP = ["corpus", "budget"]  # one section of the report per value: equal data and equal time are never compared

HEAD = "system.head.targets."  # settings of the targets that a head reads

ALIKE = ("seed", "vocabulary.size", "budget.words", "budget.seconds")  # settings that distinguish no variants

BY_BUDGET = ("corpus.train_words", "optimizer.lr", "system.model.lr", "device")  # may change with the budget

CONTENT = "corpus.content_sha256"  # setting of a user's text

NO_TEXT = ("corpus.name", "corpus.train_words")  # settings of a corpus that make no other text

FILE = "system.model.sha256"  # of predictions of another program: a file per training seed

DECODING = "generation."  # settings of generated text distinguish no variants: every figure of quality is the same


def labels(frame: pd.DataFrame, settings: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return each run's label, and the settings that distinguish it from its system's other runs at one V and budget.

    Without a label of their own, runs of one system with different settings would be averaged as if they were seeds. A
    variant has one label at every V and budget, also where it is the only one, so that a line connects all its cells.

    Args:
        settings: of each run; "null" where a record is older than a setting.
    """
    label, written = frame.system.astype(str), pd.Series("", frame.index, dtype=object)
    for (_, system), family in frame.groupby(["corpus", "system"]):
        tables = family.groupby(["vocabulary_size", "budget"], dropna=False).ngroup()
        own = settings.loc[family.index]
        if FILE in own and own[FILE].groupby([tables, family.seed]).nunique().max() == 1:  # files are seeds
            own = own.drop(columns=FILE)
        chosen = deciding_settings(own, tables)
        label[family.index] = variant_labels(system, chosen)
        written[family.index] = [written_out(run) for _, run in chosen.iterrows()]
    return label, written


def settings_of(run: pd.Series) -> dict[str, str]:
    """Return every setting that can make a run a cell of its own, by its dotted key.

    With learnt inputs, the targets of the configuration are those of the head; no other system reads them.
    """
    kept = {key: each for key, each in run.config.items() if key not in OUTSIDE_IDENTITY}
    flat = flatten(without_hashed_paths(without_description(with_first_defaults(without_added(kept, ADDED)))))
    if kept.get("inputs") == "learned":
        of_head = {f"targets.{key.removeprefix(HEAD)}": each for key, each in flat.items() if key.startswith(HEAD)}
        flat = {key: each for key, each in flat.items() if not key.startswith((HEAD, "targets."))} | of_head
    texts = {key: as_text(each) for key, each in flat.items() if key not in ALIKE and not key.startswith(DECODING)}
    return texts | {"backbone": str(run.backbone), "device": without_threads(str(run.device))}


def predictions_sha256(config: dict[str, Any]) -> str | None:
    """Return the hash of the file of another program's predictions; None for every other system."""
    return flatten(config).get(FILE)


def as_text(value: Any) -> str:
    """Return a setting's value as text."""
    return value if isinstance(value, str) else json.dumps(value)


def names_of_texts(frame: pd.DataFrame) -> pd.Series:
    """Return the name of each run's corpus, with what differs if one name stands for several texts.

    Settings that some runs lack, because their records are older, tell no texts apart.
    """
    names = frame.corpus.astype(str)
    for name, here in frame.groupby("corpus"):
        texts = [without_hashed_paths({"corpus": config.get("corpus") or {}}) for config in here.config]
        rows = [{key: as_text(each) for key, each in flatten(text).items() if key not in NO_TEXT} for text in texts]
        chosen = deciding_settings(
            pd.DataFrame(rows, here.index, dtype=object).dropna(axis=1), pd.Series(0, here.index)
        )
        if CONTENT in chosen:  # shown with the path of the first run that read it
            paths = pd.Series([(config["corpus"] or {}).get("path") for config in here.config], here.index)
            first = paths.groupby(chosen[CONTENT]).transform("first").astype(str)
            chosen = chosen.drop(columns=CONTENT).assign(**{"corpus.path": first, "sha256": chosen[CONTENT].str[:8]})
        if len(chosen.columns):
            names[here.index] = f"{name} (" + chosen.apply(written_out, axis=1) + ")"
    return names


def variants(frame: pd.DataFrame, settings: pd.DataFrame) -> pd.Series:
    """Number the variants of one system on one corpus across budgets, for lines over the number of training words.

    Settings that follow the budget, and settings that some runs lack, distinguish none; a limit of the text does,
    unless it is the number of training words.
    """
    numbers = pd.Series(0, frame.index)
    for _, family in frame.groupby(["corpus", "system"]):
        shared = settings.loc[family.index].drop(columns=[*BY_BUDGET], errors="ignore").dropna(axis=1)
        shared = shared.assign(text=[own_limit(config) for config in family.config])
        numbers[family.index] = pd.factorize(pd.Series([*shared.itertuples(index=False, name=None)], dtype=object))[0]
    return numbers


def own_limit(config: dict[str, Any]) -> str:
    """Return the limit of a run's training text; empty if it is the number of training words."""
    limit, words = (config.get("corpus") or {}).get("train_words"), (config.get("budget") or {}).get("words")
    return "" if limit == words else str(limit)


def without_threads(device: str) -> str:
    """Return a device without its number of threads, which changes times alone; `origin` keeps those apart."""
    return re.sub(r", \d+ threads$", "", device)
