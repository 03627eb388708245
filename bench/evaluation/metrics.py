"""Ranks and nats -> the quality figures of a record. N test positions; `<unk>` is never an answer.

| figure | definition | unit | better |
|---|---|---|---|
| accuracy_at_k | positions whose true word ranks ≤ k by raw score; out of vocabulary is a miss | share | higher |
| mrr_at_10 | mean of 1 / rank, 0 beyond rank 10 | share | higher |
| calibrated_… | the same under softmax(a · score + b · log unigram), a and b fitted on validation | | |
| word_perplexity | exp(mean nats); out of vocabulary costs −log p(`<unk>`) − log p(spelling): open | words | lower |
| bits_per_byte | sum of nats / (ln 2 · UTF-8 bytes of the words, one separator each): open | bits | lower |
| closed_perplexity | exp(mean nats) of in-vocabulary positions: not comparable across V | words | lower |
| raw_closed_perplexity | the same under softmax(score): for a regressor a proxy | words | lower |
| brier | mean of 2 p(y) − Σ p² (Brier 1950, as a gain), calibrated | | higher |
"""

import numpy as np

from bench.evaluation.score import Scored
from bench.text import Text
from bench.vocabulary import Vocabulary

DECILES = 10
MOST_NATS = np.log(np.finfo(np.float64).max)


def quality(scored: Scored, vocabulary: Vocabulary, test: Text) -> dict[str, float | int | list[float] | None]:
    """The fields of a Record that say how good the model is."""
    spellings = [word.encode("utf-8", "surrogatepass") for word in vocabulary.corpus.lexicon]
    lengths = np.fromiter(map(len, spellings), np.int64)
    test_bytes = int(lengths[test.words].sum()) + len(test)
    nats = scored.nats.astype(np.float64)
    known = scored.word != vocabulary.unk
    measured = ~np.isnan(scored.rank)
    return {
        "coverage": vocabulary.coverage(test),
        "test_words": len(test),
        "test_bytes": test_bytes,
        **ranking(scored.rank[measured]),
        **{f"calibrated_{name}": value for name, value in ranking(scored.calibrated_rank[measured]).items()},
        "ranked_words": int(measured.sum()),
        "accuracy_by_decile": by_decile(scored.rank[measured] <= 1, test.words[measured]),
        "word_perplexity": perplexity(nats),
        "bits_per_byte": float(nats.sum() / np.log(2) / test_bytes),
        "closed_perplexity": perplexity(nats[known]),
        "raw_closed_perplexity": perplexity(scored.raw_nats.astype(np.float64)[known]),
        "brier": scored.brier,
        "calibration_scale": scored.calibration and scored.calibration.scale,
        "calibration_prior": scored.calibration and scored.calibration.prior,
    }


def ranking(rank: np.ndarray) -> dict[str, float | None]:
    """Accuracies and mean reciprocal rank; None where nothing was ranked. A tie for the first place is no hit."""
    if np.isnan(rank).all():
        return dict.fromkeys(("accuracy_at_1", "accuracy_at_5", "accuracy_at_10", "mrr_at_10"))
    reciprocal = np.where(rank <= 10, 1 / rank, 0)
    return {f"accuracy_at_{k}": float((rank <= k).mean()) for k in (1, 5, 10)} | {"mrr_at_10": float(reciprocal.mean())}


def perplexity(nats: np.ndarray) -> float | None:
    """exp of the mean; None of nothing, and where no float holds it: a record is JSON, which has no infinity."""
    return float(np.exp(nats.mean())) if len(nats) and nats.mean() < MOST_NATS else None


def by_decile(hit: np.ndarray, words: np.ndarray) -> list[float]:
    """Mean of `hit` by training frequency of the true word: ten equal shares of the positions, the most frequent first.

    The lexicon falls by training frequency, so an index is a frequency rank and the shares are those of any V. Where
    one word is heavier than a share, its hits are spread evenly over the shares that it fills.
    """
    order = np.argsort(words, kind="stable")
    _, inverse = np.unique(words[order], return_inverse=True)
    mean = np.bincount(inverse, hit[order]) / np.bincount(inverse)
    return [float(share.mean()) for share in np.array_split(mean[inverse], DECILES) if len(share)]
