"""Split of the gap between a regressor and a reference, by counterfactual decoders on the same positions.

Neighbouring steps differ by one cause, so the parts sum to the gap exactly. Each step has hits (accuracy@1) and nats:

0. Reference: its best word; nats of its calibrated distribution.
1. Target ambiguity: a hit also needs that the true vector of the position decodes to the true word; nats grow by
   −log p(word | true vector).
2. Conditional mean: the exact minimiser of the loss under the reference's p(word | context), by the better rule.
3. Fit: the regressor's prediction, by the better rule.
4. Decoding: the regressor's prediction, by the nearest row; nats of softmax(a · score), a scale without a prior.

The better rule in nats is the calibrated one, softmax(a · score + b · log unigram), a and b fitted on validation. In
hits it is the calibrated one or the nearest row, whichever hits more often on validation: a prior can cost hits.
n positions of a block, N positions, V vocabulary size.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.evaluation.calibration import Calibration
from bench.evaluation.diagnosis.inputs import Case, Inputs
from bench.evaluation.intervals import MOST_BLOCKS, BlockSums, mean_over_seeds, percentile_interval
from bench.evaluation.metric_definition import Ratio
from bench.evaluation.ranks import count_ranks

PARTS = ("target_ambiguity", "conditional_mean", "fit", "decoding")


class Rule(NamedTuple):
    """Decision rule of a decoder, chosen and fitted on validation."""

    calibration: Calibration
    is_nearest: bool  # the best raw score hits more often than the best calibrated one

    def apply(self, case: Case, scores: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return hits by the better rule, and nats under the calibrated distribution. [n, V], [n] -> [n], [n]"""
        logits = self.calibration.logits(scores, case.log_unigram)
        return hits(case, scores if self.is_nearest else logits, words), nats(logits, words)


class Rules(NamedTuple):
    """Rules of all decoders; None for a decoder that does not exist."""

    own: Rule
    minimiser: Rule | None  # None: the loss has no minimiser in closed form
    true_vector: Rule | None  # None: targets are rows, which decode to themselves


class Steps(NamedTuple):
    """Values per test position. [N] float64 each, [5, N] for the steps of the chain"""

    hits: np.ndarray  # [5, N] 0 or 1; NaN: no such step
    nats: np.ndarray  # [5, N]
    true_vector_hits: np.ndarray  # the true vector decodes to the true word
    minimiser_hits: np.ndarray  # the minimiser, decoded by the nearest row
    known: np.ndarray  # the true word is in the vocabulary


def fit_rules(case: Case) -> Rules:
    """Choose and fit the rules on validation."""
    has_minimiser = case.head.minimiser(case.means[:1]) is not None
    return Rules(
        fit_rule(case, case.scores),
        fit_rule(case, lambda block: minimiser_scores(case, block)) if has_minimiser else None,
        fit_rule(case, lambda block: true_vector_scores(case, block)) if case.targets.level == "token" else None,
    )


def fit_rule(case: Case, scores_of: Callable[[Inputs], Tensor]) -> Rule:
    """Fit the calibration of a decoder, and count the hits of both rules."""
    calibration, nearest, calibrated = case.calibrated(scores_of), 0, 0
    for block in case.calibration_inputs.blocks(len(case.log_unigram)):
        scores = scores_of(block)
        nearest += int(hits(case, scores, block.words).sum())
        calibrated += int(hits(case, calibration.logits(scores, case.log_unigram), block.words).sum())
    return Rule(calibration, is_nearest=nearest >= calibrated)


def hits(case: Case, scores: Tensor, words: Tensor) -> Tensor:
    """Return 1 where the true word has rank 1, else 0. [n, V], [n] -> [n] float64"""
    return (count_ranks(scores, words, case.unk).rank <= 1).double()


def nats(logits: Tensor, words: Tensor) -> Tensor:
    """Return −log softmax(logits) of the true words. [n, V], [n] -> [n] float64"""
    return (logits.logsumexp(1) - logits.gather(1, words[:, None])[:, 0]).double()


def minimiser_scores(case: Case, block: Inputs, log_p: Tensor | None = None) -> Tensor:
    """Score words by the prediction that minimises the loss under the reference's distribution. [n, V]"""
    log_p = case.reference_log_p(case.reference_scores(block)) if log_p is None else log_p
    return case.decode(case.head.minimiser(log_p.exp() @ case.means))


def true_vector_scores(case: Case, block: Inputs) -> Tensor:
    """Score words by the true vector of each position: by the head's decoder, or by inner product. [n, V]"""
    queries = case.head.minimiser(block.vectors)
    return block.vectors @ case.head.table.T if queries is None else case.decode(queries)


@torch.inference_mode()
def measure(case: Case, inputs: Inputs) -> Steps:
    """Measure every step of the chain at these test positions."""
    rules, row_nats = fit_rules(case), nats_given_row(case.head.table, case.log_unigram, case.unk)
    blocks = [measure_block(case, rules, row_nats, block) for block in inputs.blocks(len(case.log_unigram))]
    columns = (torch.cat(parts, -1).double().numpy() for parts in zip(*blocks, strict=True))
    return Steps(*columns, known=(inputs.words != case.unk).double().numpy())


def measure_block(case: Case, rules: Rules, row_nats: Tensor, block: Inputs) -> tuple[Tensor, ...]:
    """Return the first four fields of `Steps` for one block."""
    words, scores = block.words, case.reference_scores(block)
    log_p = case.reference_log_p(scores)
    reference = hits(case, scores, words), nats(log_p, words)
    if rules.true_vector is None:  # a row is its own nearest row, unless other words have the same row
        true = ((row_nats[words] == 0) & (words != case.unk)).double(), row_nats[words]
    else:
        true_scores = true_vector_scores(case, block)
        true = hits(case, true_scores, words), rules.true_vector.apply(case, true_scores, words)[1]
    nothing = torch.full_like(true[0], torch.nan)
    minimiser, minimiser_hits = (nothing, nothing), nothing
    if rules.minimiser is not None:
        best = minimiser_scores(case, block, log_p)
        minimiser, minimiser_hits = rules.minimiser.apply(case, best, words), hits(case, best, words)
    scores = case.scores(block)
    own = rules.own.apply(case, scores, words)
    decoded = hits(case, scores, words), nats(scores * case.scale_alone.scale, words)
    with_true_vector = reference[0] * true[0], reference[1] + true[1]
    steps = zip(reference, with_true_vector, minimiser, own, decoded, strict=True)
    return *map(torch.stack, steps), true[0], minimiser_hits


def nats_given_row(table: Tensor, log_unigram: Tensor, unk: int) -> Tensor:
    """Return −log p(word | its row): 0 for a row of its own, else by the unigram shares of the words with the same row.

    `<unk>` is no candidate and has a row of its own. [V, D], [V] -> [V] float64
    """
    candidates = torch.arange(len(table)) != unk
    _, group, sizes = table[candidates].unique(dim=0, return_inverse=True, return_counts=True)
    shares = log_unigram[candidates].double().exp()
    sums = torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, group, shares)
    nats = torch.zeros(len(table), dtype=torch.float64)
    nats[candidates] = torch.where(sizes[group] == 1, 0.0, sums[group].log() - shares.log())
    return nats


def parts(steps: np.ndarray, loses: int) -> dict[str, np.ndarray]:
    """Return the gap and its parts per position, positive for a loss. [5, N] -> [N] each

    Args:
        loses: −1 if a lower value is a loss (accuracy), 1 if a higher value is a loss (nats).
    """
    changes = zip(PARTS, itertools.pairwise(steps), strict=True)
    lost = {f"lost_to_{part}": loses * (after - before) for part, (before, after) in changes}
    joint = {"lost_to_conditional_mean_and_fit": loses * (steps[3] - steps[1])} if np.isnan(steps[2]).any() else {}
    return {"gap": loses * (steps[-1] - steps[0])} | lost | joint


def mean_and_interval(values: np.ndarray, starts: np.ndarray) -> tuple[float | None, list[float] | None]:
    """Return the mean over positions and its 95 % interval over documents; None if undefined. [N]

    Args:
        starts: first position of each document, and the end.
    """
    if np.isnan(values).any():
        return None, None
    lengths, documents = np.diff(starts), len(starts) - 1
    block = np.repeat(np.arange(documents) * min(documents, MOST_BLOCKS) // documents, lengths)
    sums = {"words": np.bincount(block).astype(float).tolist(), "value": np.bincount(block, values).tolist()}
    cell = BlockSums.from_seeds([sums])
    if cell is None:
        return float(values.mean()), None
    ends = percentile_interval(mean_over_seeds(Ratio("value", "words"), cell.resampled), len(cell))
    return float(values.mean()), ends and [*ends]


def chain(case: Case, inputs: Inputs) -> dict[str, object]:
    """Return the fields of the chain: ceilings, gap and parts in accuracy@1 and in nats, and intervals by field.

    Args:
        inputs: all test positions.
    """
    steps = measure(case, inputs)
    measured = {
        "conditional_mean_ceiling": steps.minimiser_hits,
        "reference_accuracy_at_1": steps.hits[0],
        "accuracy_at_1": steps.hits[-1],
        "reference_nats": steps.nats[0],
        "nats": steps.nats[-1],
    }
    in_accuracy, in_nats = parts(steps.hits, -1), parts(steps.nats, 1)
    measured |= {"accuracy_gap": in_accuracy.pop("gap"), **in_accuracy}
    measured |= {"nats_gap": in_nats.pop("gap")} | {f"nats_{name}": values for name, values in in_nats.items()}
    figures = {name: mean_and_interval(values, case.data.test.starts) for name, values in measured.items()}
    return {
        "positions": len(case.data.test),
        "identifiability_ceiling": float(steps.true_vector_hits.sum() / steps.known.sum()),
        **{name: mean for name, (mean, _) in figures.items()},
        "intervals": {name: ends for name, (_, ends) in figures.items() if ends is not None},
    }
