"""Sentences computed from the cells: the best system at each V, and each regressor against full softmax."""

from collections.abc import Iterable, Iterator

import pandas as pd

from bench.report.number_format import listed
from bench.report.significance import REFERENCE, is_certain


def headline(cells: pd.DataFrame) -> Iterator[str]:
    """Yield the sentences about the systems that are present."""
    trained = cells[cells.competes & cells.bits_per_byte.notna()].sort_values(["vocabulary_size", "bits_per_byte"])
    if trained.empty:
        return
    best = trained.drop_duplicates("vocabulary_size")
    second = trained.drop(best.index).drop_duplicates("vocabulary_size").set_index("vocabulary_size")
    for label, wins in best.groupby("label", sort=False):
        bits = listed(f"{each:.2f}" for each in wins.bits_per_byte)
        where = sizes(wins.vocabulary_size)
        yield f"{label} needs the fewest bits per byte at V = {where}: {bits}{lead(wins, second)}."
    ranked = trained.drop_duplicates(["system", "vocabulary_size"]).set_index(["system", "vocabulary_size"])
    for system in sorted(set(trained.system[trained.kind == "regressor"])):
        if REFERENCE in set(trained.system):
            yield from comparison(ranked.loc[system], ranked.loc[REFERENCE], system)


def lead(wins: pd.DataFrame, second: pd.DataFrame) -> str:
    """Return how the best compares with the next best; empty where no interval is known."""
    clauses: dict[tuple[str, bool], list[int]] = {}
    for _, cell in wins[wins.vocabulary_size.isin(second.index)].iterrows():
        other = second.loc[cell.vocabulary_size]
        if (differs := is_certain(cell, other, "bits_per_byte")) is not None:
            clauses.setdefault((other.label, differs), []).append(cell.vocabulary_size)
    parts = [
        f"ahead of {label} at V = {sizes(where)}, interval excludes 0"
        if differs
        else f"no clear difference to {label} at V = {sizes(where)}"
        for (label, differs), where in clauses.items()
    ]
    return "".join(f"; {part}" for part in parts)


def comparison(regressor: pd.DataFrame, reference: pd.DataFrame, name: str) -> Iterator[str]:
    """Yield one sentence: best variant of a regressor against best variant of the reference, where both have a cell.

    Both frames are indexed by vocabulary size.
    """
    shared = regressor.index.intersection(reference.index)
    if shared.empty:
        return
    regressor, reference = regressor.loc[shared], reference.loc[shared]
    bits = signed_extent(regressor.bits_per_byte - reference.bits_per_byte, 2)
    parts = [f"{bits} bits per byte{certainty(regressor, reference, 'bits_per_byte')}"]
    for field, kind in {"accuracy_at_1": "raw", "calibrated_accuracy_at_1": "calibrated"}.items():
        points = (regressor[field] - reference[field]).dropna() * 100
        if len(points):
            parts.append(
                f"{signed_extent(points, 1)} points of {kind} accuracy@1{certainty(regressor, reference, field)}"
            )
    ratio = (regressor.head_train_ms_per_1k / reference.head_train_ms_per_1k).dropna()
    if len(ratio):
        parts.append(f"{ratio.iloc[-1]:.2g} times the time to train the head (V = {ratio.index[-1]:,})")
    yield f"{name} against {REFERENCE} at V = {sizes(shared)}: {listed(parts)}."


def certainty(regressor: pd.DataFrame, reference: pd.DataFrame, field: str) -> str:
    """Return in brackets at which V the difference of one measure is clear; empty where no interval is known."""
    every = {size: is_certain(regressor.loc[size], reference.loc[size], field) for size in regressor.index}
    known = {size: differs for size, differs in every.items() if differs is not None}
    unclear = [size for size, differs in known.items() if not differs]
    if not known:
        return ""
    if not unclear:
        return " (interval excludes 0)" if len(known) == 1 else " (intervals exclude 0)"
    where = f" at V = {sizes(unclear)}" if len(unclear) < len(known) else ""
    return f" (no clear difference{where})"


def sizes(values: Iterable[int]) -> str:
    """Return `1,000, 5,000 and 20,000`."""
    return listed(f"{value:,}" for value in values)


def signed_extent(values: pd.Series, decimals: int) -> str:
    """Return `+0.30`, or `+0.30 to +0.41` where the values differ."""
    ends = [f"{value:+.{decimals}f}".replace("-", "−") for value in (values.min(), values.max())]
    return " to ".join(dict.fromkeys(ends))
