"""Sentences computed from the cells: the best system at each V, and each regressor against its baseline."""

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from bench.evaluation.metrics import METRICS
from bench.report import significance
from bench.report.number_format import listed
from bench.report.significance import REFERENCE, Comparisons, is_certain

ACCURACIES = {"accuracy_at_1": "raw", "calibrated_accuracy_at_1": "calibrated"}


def headline(cells: pd.DataFrame, baseline: str = REFERENCE) -> Iterator[str]:
    """Yield the sentences about the systems that are present: one variant of a system per sentence.

    Args:
        cells: of one corpus and budget.
        baseline: system or label that the regressors are compared with.
    """
    trained = cells[cells.competes & cells.bits_per_byte.notna()].sort_values(["vocabulary_size", "bits_per_byte"])
    if trained.empty:
        return
    best = trained.drop_duplicates("vocabulary_size")
    for label, wins in best.groupby("label", sort=False):
        bits = listed(f"{each:.2f}" for each in wins.bits_per_byte)
        where = sizes(wins.vocabulary_size)
        yield f"{label} needs the fewest bits per byte at V = {where}: {bits}{lead(wins, trained)}."
    at_size = dict([*cells.groupby("vocabulary_size")])
    comparisons = {size: significance.compare(here, baseline) for size, here in at_size.items()}
    for label, variant in trained[trained.kind == "regressor"].sort_values("vocabulary_size").groupby("label"):
        pairs: dict[str, list[tuple[pd.Series, pd.Series]]] = {}  # by the label of the baseline
        for _, cell in variant.iterrows():
            other = significance.baseline(cell, at_size[cell.vocabulary_size], baseline)
            if other is not None and other.label != label and same_test_words(cell, other):
                pairs.setdefault(other.label, []).append((cell, other))
        for name, some in pairs.items():
            where = sizes(cell.vocabulary_size for cell, _ in some)
            yield f"{label} against {name} at V = {where}: {contrast(some, comparisons)}."


def same_test_words(cell: pd.Series, other: pd.Series) -> bool:
    """True unless the mean numbers of test words are known to differ."""
    return bool(pd.isna(cell.test_words) or pd.isna(other.test_words) or cell.test_words == other.test_words)


def lead(wins: pd.DataFrame, trained: pd.DataFrame) -> str:
    """Return how the best compares with the next best; empty where no test is possible."""
    clauses: dict[tuple[str, bool], list[int]] = {}
    for _, cell in wins.iterrows():
        others = trained[(trained.vocabulary_size == cell.vocabulary_size) & (trained.label != cell.label)]
        if others.empty:
            continue
        next_best = others.iloc[0]
        if (differs := is_certain(cell, next_best, "bits_per_byte", rivals=len(others))) is not None:
            clauses.setdefault((next_best.label, differs), []).append(cell.vocabulary_size)
    parts = [
        f"significantly ahead of {label} at V = {sizes(where)}"
        if differs
        else f"no significant difference to {label} at V = {sizes(where)}"
        for (label, differs), where in clauses.items()
    ]
    return "".join(f"; {part}" for part in parts)


def contrast(pairs: list[tuple[pd.Series, pd.Series]], comparisons: Mapping[int, Comparisons]) -> str:
    """Return the differences of one variant to one baseline, over the vocabulary sizes at which both have a cell."""

    def differences(field: str, decimals: int, unit: str) -> list[str]:
        metric = METRICS[field]
        values = pd.Series([cell[field] - other[field] for cell, other in pairs]).dropna() * metric.scale
        if values.empty:
            return []
        tested = {cell.vocabulary_size: comparisons[cell.vocabulary_size].get(cell, metric) for cell, _ in pairs}
        known = {size: each.is_significant for size, each in tested.items() if each and each.p is not None}
        return [f"{signed_extent(values, decimals)} {unit}{certainty(known)}"]

    parts = differences("bits_per_byte", 2, "bits per byte")
    for field, kind in ACCURACIES.items():
        parts += differences(field, 1, f"points of {kind} accuracy@1")
    timed = [(cell, other) for cell, other in pairs if len(cell.origins) == 1 and cell.origins == other.origins]
    ratios = {cell.vocabulary_size: cell.head_train_ms_per_1k / other.head_train_ms_per_1k for cell, other in timed}
    ratios = {size: ratio for size, ratio in ratios.items() if pd.notna(ratio)}
    if ratios:
        parts.append(f"{ratios[max(ratios)]:.2g} times the time to train the head (V = {max(ratios):,})")
    return listed(parts)


def certainty(significant: Mapping[int, bool]) -> str:
    """Return in brackets at which V the difference of one measure is significant; empty where it was not tested."""
    unclear = [size for size, differs in significant.items() if not differs]
    if not significant:
        return ""
    if not unclear:
        return " (significant)"
    where = f" at V = {sizes(unclear)}" if len(unclear) < len(significant) else ""
    return f" (not significant{where})"


def sizes(values: Iterable[int]) -> str:
    """Return `1,000, 5,000 and 20,000`."""
    return listed(f"{value:,}" for value in values)


def signed_extent(values: pd.Series, decimals: int) -> str:
    """Return `+0.30`, or `+0.30 to +0.41` where the values differ."""
    ends = [f"{value:+.{decimals}f}".replace("-", "−") for value in (values.min(), values.max())]
    return " to ".join(dict.fromkeys(ends))
