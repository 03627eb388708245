"""Name the variants of one system as a paper would: `cosine, BERT tokens` for two settings that differ."""

import re

import pandas as pd

WORDS = {"bert": "BERT", "token": "tokens", "type": "types"}  # value of a `targets` setting -> its word in a label

TARGETS = ("targets.context", "targets.name", "targets.level")  # in the order of their words: causal BERT tokens

UNITS = {"targets.dimension": "columns"}  # settings whose value says enough with a unit beside it: 384 columns

BARE = ("backbone", "device")  # settings whose value needs no name beside it

CLASS = "_target_"  # last part of the key of a setting that names a class by its full path


def deciding_settings(settings: pd.DataFrame, tables: pd.Series) -> pd.DataFrame:
    """Choose the settings that distinguish the runs of one system within one table, shortest keys first.

    A setting that follows from settings chosen before is left out: the name of a group implies the group's settings.
    The device comes last, as a variant that was measured on another machine is known by its settings.
    [runs, settings] -> [runs, chosen]

    Args:
        tables: number of each run's table, as of its V and budget. [runs]
    """
    values = settings.to_numpy(object)
    varied = settings.loc[:, (values != values[:1]).any(0)]  # nunique of the many others is slow
    in_one_table = varied.groupby(tables).nunique().max()
    differing = sorted(
        in_one_table.index[in_one_table > 1], key=lambda key: (key == "device", key.count("."), len(key), key)
    )
    chosen: list[str] = []
    for key in differing:
        if len(settings[[*chosen, key]].drop_duplicates()) > (len(settings[chosen].drop_duplicates()) if chosen else 1):
            chosen.append(key)
    return settings[chosen]


def written_out(settings: pd.Series) -> str:
    """Return `targets.name=bert, targets.level=token`."""
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def variant_labels(system: str, chosen: pd.DataFrame) -> pd.Series:
    """Return a label per run of one system; with all settings written out if short names would coincide. [runs]"""
    if chosen.columns.empty:
        return pd.Series(system, chosen.index)
    full = chosen.apply(written_out, axis=1)
    short = chosen.apply(lambda run: short_name(run, chosen), axis=1)
    is_unique = short.nunique() == full.nunique()
    return f"{system}, " + short if is_unique else f"{system} (" + full + ")"


def short_name(run: pd.Series, chosen: pd.DataFrame) -> str:
    """Return the words of the settings that distinguish one run from the others of its system."""
    distinguishing: dict[str, str] = {}
    alike = chosen  # the runs that agree with this run in every setting so far
    for key, value in run.items():
        if alike[key].nunique() > 1:
            distinguishing[key] = value
        alike = alike[alike[key] == value]
    targets = [WORDS.get(distinguishing[key], distinguishing[key]) for key in TARGETS if key in distinguishing]
    if targets and "targets.level" not in distinguishing:
        targets.append("vectors")
    others = [phrase(key, value) for key, value in distinguishing.items() if key not in TARGETS]
    return ", ".join([*others, " ".join(targets)] if targets else others)


def phrase(key: str, value: str) -> str:
    """Name a setting in a label: `gru`, `384 columns`, `contextual inputs`, `head width 64`, `file 4f0a91c2`."""
    if key in BARE:
        return value
    if key in UNITS and value != "null":
        return f"{value} {UNITS[key]}"
    if key.rpartition(".")[2] == CLASS:
        return value.rpartition(".")[2]
    if key.rpartition(".")[2] == "sha256":
        return f"file {value[:8]}"
    name = " ".join(key.split(".")[-2:]).replace("_", " ")
    is_word = re.fullmatch(r"[a-z]+", value) and value not in ("null", "true", "false")
    return f"{value} {name}" if is_word else f"{name} {value}"
