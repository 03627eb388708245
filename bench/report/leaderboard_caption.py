"""Caption of a leaderboard: what its numbers were measured on, and how to read its marks."""

import pandas as pd

from bench.core.dotted import flatten
from bench.evaluation.intervals import FEWEST_BLOCKS
from bench.report.number_format import extent, listed
from bench.report.paired_test import FEWEST_DOCUMENTS
from bench.report.record_facts import UNTRAINED
from bench.report.significance import Comparisons

SHARED = (  # beginnings of the names of settings that the systems of one table should share
    "backbone.",
    "batch.",
    "trainer.precision",
    "evaluation.",
    "optimizer.weight_decay",
    "optimizer.gradient_clip",
)


def facts(runs: pd.DataFrame) -> str:
    """Return what one table's numbers were measured on."""
    good = runs[runs.status == "ok"]
    trained = good.trained_words[good.competes]
    parts = [f"V = {runs.vocabulary_size.iloc[0]:,}"]
    if runs.budget.iloc[0]:
        parts.append(runs.budget.iloc[0])
    if good.coverage.notna().any():
        parts.append(f"coverage {extent(good.coverage * 100)} %")
    if good.test_words.notna().any():
        parts.append(f"{extent(good.test_words)} test words")
    for label, fewer in good[good.ranked_words < good.test_words].groupby("system"):
        parts.append(f"{label} ranked on {extent(fewer.ranked_words)} of them")
    if trained.notna().any():
        parts.append(f"trained on {extent(trained)} words")
    if good.entropy_rate_bits.notna().any():
        parts.append(f"entropy rate {extent(good.entropy_rate_bits, 3)} bits per word")
    if left_out := int(runs.replaced.sum()):
        parts.append(f"runs left out since they differ in `generation.*` alone: {left_out}")
    unlike = [label for label, seeds in good.groupby("label") if differs_by_seed(seeds)]
    if unlike:
        parts.append(f"seeds of different code or pre-trained weights: {listed(sorted(unlike))}")
    if unlike := unlike_settings(good[good.competes]):
        parts.append(f"trained systems differ in {listed(unlike)}")
    if good.corpus_sha256.nunique() > 1:
        parts.append("records of texts of different content")
    commits = sorted({commit[:7] for commit in good.git_commit.dropna()})
    if len(commits) > 1:
        parts.append(f"records of {len(commits)} git commits ({', '.join(commits)})")
    if good.slowed.any():
        left_out = "" if good.train_seconds[good.slowed].notna().any() else ", whose times are left out"
        parts.append(f"other work slowed {good.slowed.sum()} runs{left_out}")
    parts += [f"on {device}" for device in sorted(set(good.device.dropna()))]
    if (at_once := good.cells_at_once.max()) > 1:
        parts.append(f"{at_once:.0f} cells at once shared the machine: slower times than alone")
    return " · ".join(parts)


def unlike_settings(runs: pd.DataFrame) -> list[str]:
    """Return the settings that systems of one table should share, but do not, and that no label names."""
    rows = [{key: each for key, each in flatten(config).items() if key.startswith(SHARED)} for config in runs.config]
    settings = pd.DataFrame(rows, dtype=object).map(str)
    written = " ".join(runs.settings)
    return sorted(key for key in settings if settings[key].nunique() > 1 and f"{key}=" not in written)


def differs_by_seed(seeds: pd.DataFrame) -> bool:
    """True if the seeds of one cell were made by different code, or from different pre-trained weights."""
    return any(seeds[name].nunique() > 1 for name in ("source_sha256", "weights_sha256"))


def legend(cells: pd.DataFrame, comparisons: Comparisons) -> str:
    """Explain ±, brackets and †, if the table has them; and say what could not be compared."""
    parts = ["± is the standard error over seeds" if cells.seeds.max() > 1 else "one seed: no standard error"]
    if counts := sorted({len(blocks) for blocks in cells.blocks.dropna() if len(blocks) >= FEWEST_BLOCKS}):
        number = "–".join(str(each) for each in dict.fromkeys((counts[0], counts[-1])))
        over = "seeds and test text" if cells.seeds.max() > 1 else "the test text"
        is_single = (cells.seeds == 1) & ~cells.kind.isin(UNTRAINED)
        alone = " (of one seed: over the test text alone)" if cells.seeds.max() > 1 and is_single.any() else ""
        parts.append(f"[ ] is a 95 % interval over {over}{alone}, from {number} blocks of documents resampled")
    if any(each.is_significant for each in comparisons.by_cell.values()):
        parts.append(
            f"† differs from {comparisons.shown_name}: p < .05 in a paired t-test across seeds and documents, "
            f"corrected for {comparisons.tested:,} comparisons (Holm), those of the table of differences"
        )
    untested = {label for (label, _), each in comparisons.by_cell.items() if each.p is None}
    if untested:
        needs = f"two seeds and {FEWEST_DOCUMENTS} blocks of documents"
        parts.append(f"not tested, since † needs {needs}: {listed(sorted(untested))}")
    if comparisons.without:
        labels_without = listed(sorted(set(comparisons.without)))
        parts.append(f"not compared, since no {comparisons.name} has the same trunk: {labels_without}")
    return " · ".join(parts)
