"""Quality figures of a record: values per position -> sums per block of test documents -> figures.

Every figure is a function of sums (`bench.evaluation.metrics`), so that intervals resample exactly the figure
that is printed. N test positions, B blocks.
"""

import dataclasses

import numpy as np

from bench.core.record import Record
from bench.data.text import Text
from bench.data.vocabulary import Vocabulary
from bench.evaluation.intervals import MOST_BLOCKS
from bench.evaluation.metric_definition import Positions
from bench.evaluation.metrics import measured_metrics, sums_per_position, value
from bench.evaluation.score import ScoredText, evenly_spaced

DECILES = 10  # shares of the positions, by training frequency of the true word

RECORD_FIELDS = {field.name for field in dataclasses.fields(Record)}


def quality(scored: ScoredText, vocabulary: Vocabulary, test: Text, *, search_words: int) -> dict[str, object]:
    """Return the quality fields of a Record.

    If a registered metric has no field in Record, only its sums are stored, in `blocks`.

    Args:
        search_words: number of positions on which a model of word pieces is ranked; sums over these positions are
            stored for every model, so that two models can be paired.
    """
    blocks = sums(scored, vocabulary, test, search_words)
    totals = {name: per_block.sum() for name, per_block in blocks.items()}
    ranked = ~np.isnan(scored.rank)
    is_drawn = scored.brier_n is not None and totals["drawn"] > 0
    return {
        "coverage": vocabulary.coverage(test),
        "test_words": len(test),
        "test_bytes": int(totals["bytes"]),
        "test_raw_bytes": None if test.raw_bytes is None else int(test.raw_bytes.sum()),
        "ranked_words": int(ranked.sum()),
        **{name: finite(value(name, totals)) for name in measured_metrics() if name in RECORD_FIELDS},
        "brier_n": [float(totals[f"brier_{n}"] / totals["drawn"]) for n in (1, 2, 3, 4)] if is_drawn else None,
        "accuracy_by_decile": by_decile(scored.rank[ranked] <= 1, test.words[ranked]),
        "calibration_scale": scored.calibration and scored.calibration.scale,
        "calibration_prior": scored.calibration and scored.calibration.prior,
        "blocks": {name: [round(float(each), 3) for each in per_block] for name, per_block in blocks.items()},
    }


def sums(scored: ScoredText, vocabulary: Vocabulary, test: Text, search_words: int) -> dict[str, np.ndarray]:
    """Compute the registered sums per block of test documents, except sums that were not measured. [B] float64"""
    documents = len(test.starts) - 1
    block = scored.document.astype(np.int64) * min(documents, MOST_BLOCKS) // documents  # [N]
    at = positions(scored, vocabulary, test, search_words)
    per_position = {name: values(at) for name, values in sums_per_position().items()}
    return {
        name: np.bincount(block, values.astype(np.float64), minlength=block[-1] + 1)
        for name, values in per_position.items()
        if values is not None
    }


def positions(scored: ScoredText, vocabulary: Vocabulary, test: Text, search_words: int) -> Positions:
    """Return the values per position that sums read."""
    lengths = np.fromiter((len(word.encode("utf-8", "surrogatepass")) for word in vocabulary.corpus.lexicon), np.int64)
    searched = np.zeros(len(test), bool)
    searched[evenly_spaced(len(test), search_words)] = True
    return Positions(
        bytes=lengths[test.words] + 1,
        raw_bytes=test.raw_bytes,
        known=scored.word != vocabulary.unk,
        searched=searched,
        rank=scored.rank,
        calibrated_rank=scored.calibrated_rank,
        nats=scored.nats,
        raw_nats=scored.raw_nats,
        rank_nats=scored.rank_nats,
        brier=scored.brier,
        brier_n=scored.brier_n,
    )


def finite(figure: np.ndarray) -> float | None:
    """Return a figure as a float; None if it is undefined or infinite, since JSON has no infinity."""
    return float(figure) if np.isfinite(figure) else None


def by_decile(hit: np.ndarray, words: np.ndarray) -> list[float]:
    """Return the mean of `hit` in ten equal shares of the positions, by falling training frequency of the true word.

    The lexicon is sorted by falling training frequency, so that a word's index is its frequency rank and the shares do
    not depend on V. If a word fills more than one share, its hits are distributed evenly over these shares.
    """
    order = np.argsort(words, kind="stable")
    _, inverse = np.unique(words[order], return_inverse=True)
    mean = np.bincount(inverse, hit[order]) / np.bincount(inverse)
    return [float(share.mean()) for share in np.array_split(mean[inverse], DECILES) if len(share)]
