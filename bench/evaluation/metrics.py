"""Values per position -> sums per block of documents -> the quality figures of a record.

A figure is a function of sums (`bench.evaluation.intervals`), so what is resampled is what is printed.
N test positions, B blocks.
"""

import numpy as np

from bench.data.corpus import Text
from bench.data.vocabulary import Vocabulary
from bench.evaluation.intervals import FORMULAS, MOST_BLOCKS, value
from bench.evaluation.score import Scored, spread

DECILES = 10


def quality(scored: Scored, vocabulary: Vocabulary, test: Text, *, search_words: int) -> dict[str, object]:
    """The fields of a Record that say how good the model is.

    Args:
        search_words: how many positions a model of word pieces is ranked on; every model's sums over these are kept,
            so that both can be paired.
    """
    blocks = sums(scored, vocabulary, test, search_words)
    totals = {name: per_block.sum() for name, per_block in blocks.items()}
    measured = ~np.isnan(scored.rank)
    drawn = scored.brier_n is not None and totals["drawn"] > 0
    return {
        "coverage": vocabulary.coverage(test),
        "test_words": len(test),
        "test_bytes": int(totals["bytes"]),
        "test_raw_bytes": None if test.raw_bytes is None else int(test.raw_bytes.sum()),
        "ranked_words": int(measured.sum()),
        **{field: finite(value(field, totals)) for field in FORMULAS},
        "brier_n": [float(totals[f"brier_{n}"] / totals["drawn"]) for n in (1, 2, 3, 4)] if drawn else None,
        "accuracy_by_decile": by_decile(scored.rank[measured] <= 1, test.words[measured]),
        "calibration_scale": scored.calibration and scored.calibration.scale,
        "calibration_prior": scored.calibration and scored.calibration.prior,
        "blocks": {name: [round(float(each), 3) for each in per_block] for name, per_block in blocks.items()},
    }


def sums(scored: Scored, vocabulary: Vocabulary, test: Text, search_words: int) -> dict[str, np.ndarray]:
    """What `bench.evaluation.intervals.FORMULAS` divides, a block of test documents at a time. [B] float64 each"""
    documents = len(test.starts) - 1
    block = scored.document.astype(np.int64) * min(documents, MOST_BLOCKS) // documents
    known, everywhere = scored.word != vocabulary.unk, np.ones(len(test), bool)
    lengths = np.fromiter((len(word.encode("utf-8", "surrogatepass")) for word in vocabulary.corpus.lexicon), np.int64)
    searched = np.zeros(len(test), bool)
    searched[spread(len(test), search_words)] = True

    def total(values: np.ndarray, where: np.ndarray = everywhere) -> np.ndarray:
        chosen = np.where(where, values, 0).astype(np.float64)  # of what is not chosen, a NaN must not count
        return np.bincount(block, chosen, minlength=block[-1] + 1)

    found = {
        "words": total(everywhere),
        "bytes": total(lengths[test.words] + 1),
        "known": total(known),
        "nats": total(scored.nats),
        "known_nats": total(scored.nats, known),
        "raw_known_nats": total(scored.raw_nats, known),
    }
    if test.raw_bytes is not None:
        found["raw_bytes"] = total(test.raw_bytes)
    ranks = {"": scored.rank, "calibrated_": scored.calibrated_rank}
    for prefix, chosen in {"": ~np.isnan(scored.rank), "searched_": searched}.items():
        found[f"{prefix}ranked" if not prefix else "searched"] = total(chosen)
        for kind, rank in ranks.items():
            if not np.isnan(rank).all():
                hits = {f"{prefix}{kind}hits_at_{k}": total(rank <= k, chosen) for k in (1, 5, 10)}
                found |= hits | {f"{prefix}{kind}reciprocals_at_10": total(np.where(rank <= 10, 1 / rank, 0), chosen)}
    if scored.rank_nats is not None:
        found |= {"rank_nats": total(scored.rank_nats, known), "brier": total(scored.brier)}
    if scored.brier_n is not None:
        drawn = ~np.isnan(scored.brier_n[:, 0])
        found |= {"drawn": total(drawn)} | {f"brier_{n}": total(scored.brier_n[:, n - 1], drawn) for n in (1, 2, 3, 4)}
    return found


def finite(figure: np.ndarray) -> float | None:
    """None of what is undefined, and of what no float holds: a record is JSON, which has no infinity."""
    return float(figure) if np.isfinite(figure) else None


def by_decile(hit: np.ndarray, words: np.ndarray) -> list[float]:
    """Mean of `hit` by training frequency of the true word: ten equal shares of the positions, the most frequent first.

    The lexicon falls by training frequency, so an index is a frequency rank and the shares are those of any V. Where
    one word is heavier than a share, its hits are spread evenly over the shares that it fills.
    """
    order = np.argsort(words, kind="stable")
    _, inverse = np.unique(words[order], return_inverse=True)
    mean = np.bincount(inverse, hit[order]) / np.bincount(inverse)
    return [float(share.mean()) for share in np.array_split(mean[inverse], DECILES) if len(share)]
