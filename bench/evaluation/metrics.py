"""Registry of quality metrics: one entry per metric, read by evaluation, intervals, tables, glossary and plots.

To add a metric, add its entry to `ENTRIES`. A record keeps the sums of each block of test documents, so a metric that
has no field of its own in a record is computed from these sums when the report is made.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.metric_definition import Metric, PerPosition, Positions, Ratio, Sums, evaluate

COUNTS: dict[str, PerPosition] = {  # denominators that metrics share
    "words": lambda at: np.ones(len(at.nats)),
    "bytes": lambda at: at.bytes,
    "raw_bytes": lambda at: at.raw_bytes,
    "known": lambda at: at.known,
    "ranked": lambda at: ~np.isnan(at.rank),
    "searched": lambda at: at.searched,
    "drawn": lambda at: None if at.brier_n is None else ~np.isnan(at.brier_n[:, 0]),
}


def hits(field: str, k: int, at: Positions) -> NDArray | None:
    """Return 1 where the rank is at most k. [N]; None if no position was ranked"""
    rank = getattr(at, field)
    return None if np.isnan(rank).all() else rank <= k


def reciprocals(field: str, k: int, at: Positions) -> NDArray | None:
    """Return 1 / rank where the rank is at most k, else 0. [N]; None if no position was ranked"""
    rank = getattr(at, field)
    return None if np.isnan(rank).all() else np.where(rank <= k, 1 / rank, 0)


def known_values(field: str, at: Positions) -> NDArray | None:
    """Return the values of in-vocabulary positions, and 0 elsewhere. [N]; None if not measured"""
    values = getattr(at, field)
    return None if values is None else np.where(at.known, values, 0)


def brier_factor(n: int, at: Positions) -> NDArray | None:
    """Return the estimates of Brier-n where continuations were drawn, and 0 elsewhere. [N]; None if not drawn"""
    return None if at.brier_n is None else np.where(np.isnan(at.brier_n[:, 0]), 0, at.brier_n[:, n - 1])


def brier_lm(sums: Sums) -> NDArray[np.float64]:
    """Compute 100 · (Π Brier-n)^¼, n = 1 … 4; NaN if a factor is not positive. [...]"""
    factors = np.stack([sums[f"brier_{n}"] / sums["drawn"] for n in (1, 2, 3, 4)])
    product = np.where((factors > 0).all(0), factors.prod(0), np.nan)
    return 100 * product**0.25


def bits(nats: NDArray) -> NDArray:
    """Convert nats to bits. [...]"""
    return nats / np.log(2)


RANK = "rank = 1 + #(score > the target's) + ½ #(other ties)"
CALIBRATED = "computed from the ranks under softmax(a·score + b·log unigram), a and b fitted on validation"
OPEN = "A word outside the vocabulary is a miss and <unk> is never an answer: compares across V."
PLATT = "Platt 1999; Guo et al. 2017"
PERPLEXITY = "Jelinek et al. 1977"
RECIPROCAL = "TREC-8 Question Answering Track (Voorhees 1999)"
BRIER_LM = (
    "100 · (Π Brier-n)^¼, n = 1 … 4, from two independent draws of 4 words per position: "
    "Brier-n = mean of #(draws whose first n words are the text's) − [the two draws agree in n words]"
)
BY_RANK = (
    "exp(mean of −log p), p(word) = q(bucket of its rank) / words in the bucket; buckets double in width, <unk> has a "
    "bucket of its own; q fitted on validation"
)
NATS: dict[str, PerPosition] = {"nats": lambda at: at.nats}


def accuracy(k: int, heading: str, meaning: str, **more: object) -> Metric:
    """Return the metric accuracy@k: share of positions whose target is among the k best by raw score."""
    definition = f"share of test words with rank ≤ {k}; {RANK}"
    sums, formula = {f"hits_at_{k}": partial(hits, "rank", k)}, Ratio(f"hits_at_{k}", "ranked")
    return Metric(f"accuracy_at_{k}", heading, "higher", "%", definition, f"{meaning} {OPEN}", scale=100,
                  sums=sums, formula=formula, **more)  # fmt: skip


def calibrated_accuracy(k: int, heading: str, meaning: str, **more: object) -> Metric:
    """Return the metric accuracy@k by calibrated score."""
    sums = {f"calibrated_hits_at_{k}": partial(hits, "calibrated_rank", k)}
    return Metric(f"calibrated_accuracy_at_{k}", heading, "higher", "%", CALIBRATED, meaning, PLATT, 100,
                  sums=sums, formula=Ratio(f"calibrated_hits_at_{k}", "ranked"), **more)  # fmt: skip


ENTRIES = (  # in the order of the tables' columns
    Metric("bits_per_byte", "bits per byte", "lower", "bits",
           "Σ open nats / (ln 2 · UTF-8 bytes, one separator per word)",
           "The main figure: cost of a byte of the test text. A word out of vocabulary also costs its spelling.",
           "Shannon 1951; of word pieces Pimentel & Meister 2024", digits=4,
           sums=NATS, formula=Ratio("nats", "bytes", bits), place="headline", is_compared=True),
    Metric("word_perplexity", "word ppl", "lower", "words",
           "exp(Σ open nats / test words); a word out of vocabulary costs −log p(<unk>) − log p(spelling)",
           "Cost of a word of the test text, as a choice among this number of equal words. Compares across V and with "
           "GPT-2.", f"{PERPLEXITY}; Pimentel & Meister 2024", sums=NATS, formula=Ratio("nats", "words", np.exp)),
    Metric("excess", "excess bits", "lower", "bits per word", "log2(word ppl) − log2(word ppl of truth)",
           "Excess over the language's true distribution; a system can fall below 0 only by chance.",
           "Kullback & Leibler 1951", place="headline"),
    accuracy(1, "acc@1 %", "How often the best answer is right, by raw score.", place="headline", is_compared=True),
    accuracy(10, "acc@10 %", "How often the right word is among the ten best, by raw score.", is_compared=True),
    calibrated_accuracy(1, "cal. acc@1 %", "acc@1 after calibration with word frequencies, which corrects words that "
                        "a regressor answers too often; a softmax hardly changes.", place="headline", is_compared=True),
    calibrated_accuracy(10, "cal. acc@10 %", "acc@10, in the same way."),
    Metric("mrr_at_10", "mrr@10", "higher", "0 to 1", f"mean of 1 / rank, 0 beyond rank 10; {RANK}",
           "How far up the right word is: 1 for a first place, ½ for a second.", RECIPROCAL,
           sums={"reciprocals_at_10": partial(reciprocals, "rank", 10)}, formula=Ratio("reciprocals_at_10", "ranked")),
    Metric("brier", "Brier", "higher", "−1 to 1",
           "mean of 2 p(y) − Σ p² over the vocabulary's real words, calibrated; <unk> is never an answer",
           "A proper score that no single impossible word can ruin; compares across V.", "Brier 1950, as a gain",
           sums={"brier": lambda at: at.brier}, formula=Ratio("brier", "words"), place="headline", is_compared=True),
    Metric("brier_lm", "BrierLM", "higher", "0 to 100", BRIER_LM,
           "A proper score that needs draws and no probabilities. “undef.”: one of the four factors is not positive.",
           "Shao et al. 2025, Continuous Autoregressive Language Models",
           sums={f"brier_{n}": partial(brier_factor, n) for n in (1, 2, 3, 4)}, formula=brier_lm),
    Metric("closed_perplexity", "closed ppl", "lower", "words", "exp(mean nats), in-vocabulary targets only",
           "word ppl of the vocabulary's own words, calibrated. Read it with V and coverage: not comparable across V.",
           f"{PERPLEXITY}; {PLATT}", sums={"known_nats": partial(known_values, "nats")},
           formula=Ratio("known_nats", "known", np.exp), is_compared=True),
    Metric("rank_perplexity", "rank ppl", "lower", "words", BY_RANK,
           "Quality of the ranking alone: a proper score for any scorer, and an upper bound of the perplexity that its "
           "scores can reach. In-vocabulary targets only: not comparable across V.",
           sums={"rank_nats": partial(known_values, "rank_nats")},
           formula=Ratio("rank_nats", "known", np.exp)),
    Metric("raw_closed_perplexity", "raw closed ppl", "lower", "words", "closed ppl from softmax(score)",
           "closed ppl before calibration; “proxy” (not a perplexity) if the scores are not log-probabilities.",
           PERPLEXITY, sums={"raw_known_nats": partial(known_values, "raw_nats")},
           formula=Ratio("raw_known_nats", "known", np.exp), assumes_density=True),
    accuracy(5, "acc@5 %", "How often the right word is among the five best, by raw score.", place="record"),
    calibrated_accuracy(5, "cal. acc@5 %", "acc@5, in the same way.", place="record"),
    Metric("calibrated_mrr_at_10", "cal. mrr@10", "higher", "0 to 1", CALIBRATED, "mrr@10, in the same way.",
           RECIPROCAL, sums={"calibrated_reciprocals_at_10": partial(reciprocals, "calibrated_rank", 10)},
           formula=Ratio("calibrated_reciprocals_at_10", "ranked"), place="record"),
    Metric("bits_per_word", "bits per word", "lower", "bits", "log2(word ppl)",
           "Its differences are those of the excess.", sums=NATS, formula=Ratio("nats", "words", bits),
           place="record"),
    Metric("bits_per_raw_byte", "bits per raw byte", "lower", "bits",
           "Σ open nats / (ln 2 · UTF-8 bytes of the raw text)",
           "Cost of a byte of the text as its owner wrote it, whose case and white space are not priced.",
           sums=NATS, formula=Ratio("nats", "raw_bytes", bits), place="record"),
    Metric("validation_nats", "validation nats", "lower", "nats per word", "mean open nats of the validation text",
           "Settings are chosen by this figure, never by test.", digits=4, place="record"),
)  # fmt: skip

METRICS: dict[str, Metric] = {entry.name: entry for entry in ENTRIES}


def measured_metrics() -> dict[str, Metric]:
    """Return the metrics that follow from sums, by name."""
    return {name: metric for name, metric in METRICS.items() if metric.formula is not None}


def value(name: str, sums: Sums) -> NDArray[np.float64]:
    """Compute a metric from sums; NaN if it is undefined or was not measured. [...] each -> [...]"""
    formula = METRICS[name].formula
    return np.asarray(np.nan) if formula is None else evaluate(formula, sums)


def sums_per_position() -> dict[str, PerPosition]:
    """Return every sum that a record keeps: of the shared counts, and of each metric.

    A sum that is divided by the ranked positions is kept for the searched positions too, so that a model that was
    ranked on a sample is compared with others on that sample.
    """
    every = dict(COUNTS)
    for metric in measured_metrics().values():
        every |= metric.sums or {}
        if isinstance(metric.formula, Ratio) and metric.formula.denominator == "ranked":
            every |= {f"searched_{name}": partial(searched_values, each) for name, each in (metric.sums or {}).items()}
    return every


def searched_values(values: PerPosition, at: Positions) -> NDArray | None:
    """Return the values of searched positions, and 0 elsewhere. [N]; None if not measured"""
    measured = values(at)
    return None if measured is None else np.where(at.searched, measured, 0)
