"""Hubness of a decoder: words that are among the nearest of too many predictions, and what four decoders do about it.

N_k(w) is the number of predictions that have w among their k nearest words; hubs make its distribution skewed
(Radovanović et al. 2010). N positions, V vocabulary size, D embedding size.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.evaluation.diagnosis.inputs import Case, Inputs
from bench.evaluation.ranks import count_ranks
from bench.evaluation.score import CELLS
from bench.targets.tables import whitening

NEIGHBOURS = 10  # k of N_k(w), and of the local density that CSLS subtracts

Scores = Callable[[Tensor], Tensor]  # predictions [n, D] -> scores [n, V]


def skewness(counts: Tensor) -> float | None:
    """Return the third standardised moment; None if all counts are equal. [V]"""
    centred = counts.double() - counts.double().mean()
    deviation = centred.square().mean().sqrt()
    return float((centred / deviation).pow(3).mean()) if deviation > 0 else None


def cosine_to(rows: Tensor) -> Scores:
    """Return the decoder by the cosine to rows. [V, D]"""
    unit = F.normalize(rows, dim=-1)
    return lambda predicted: F.normalize(predicted, dim=-1) @ unit.T


def decoders(case: Case, sample: Tensor) -> dict[str, Scores]:
    """Return the decoders by name; the statistics of predictions are those of a validation sample. [N, D]

    `centred` subtracts the mean row from rows and the mean prediction from predictions. `whitened` also maps both by
    the inverse square root of the rows' covariance. `csls` is 2 cos − r(w), r(w) the mean cosine of a row to its k
    nearest predictions (Conneau et al. 2018); that paper's term of the prediction is the same for all words.
    """
    table, unit = case.head.table, F.normalize(case.head.table, dim=-1)
    centre, mean = table.mean(0), sample.mean(0)
    centred = (table - centre).double()
    mixing = whitening(centred.T @ centred / len(table))
    plain, shifted = cosine_to(table), cosine_to(table - centre)
    white = cosine_to((table - centre) @ mixing)
    directions, nearest = F.normalize(sample, dim=-1), min(NEIGHBOURS, len(sample))
    blocks = unit.split(max(1, CELLS // len(sample)))
    density = torch.cat([(rows @ directions.T).topk(nearest, 1).values.mean(1) for rows in blocks])  # r(w) [V]
    return {
        "cosine": plain,
        "centred": lambda predicted: shifted(predicted - mean),
        "whitened": lambda predicted: white((predicted - mean) @ mixing),
        "csls": lambda predicted: 2 * plain(predicted) - density,
    }


@torch.inference_mode()
def hubness(case: Case, inputs: Inputs) -> dict[str, dict[str, float | None]]:
    """Return the figures of every decoder: skew of N_10 and N_1, distinct words emitted, accuracy@1."""
    sample = case.head.predictions(case.calibration_inputs.features)
    return {name: occurrences(case, inputs, scores) for name, scores in decoders(case, sample).items()}


def occurrences(case: Case, inputs: Inputs, scores_of: Scores) -> dict[str, float | None]:
    """Decode all positions; `<unk>` is no candidate."""
    size = len(case.log_unigram)
    words = min(NEIGHBOURS, size - 1)
    nearest, hits = [], 0
    for block in inputs.blocks(size):
        scores = scores_of(case.head.predictions(block.features))
        hits += int((count_ranks(scores, block.words, case.unk).rank <= 1).sum())
        scores[:, case.unk] = -torch.inf
        nearest.append(scores.topk(words, 1).indices)
    answers = torch.cat(nearest)  # [N, k]
    candidates = torch.arange(size) != case.unk
    return {
        "skew_at_10": skewness(answers.flatten().bincount(minlength=size)[candidates]),
        "skew_at_1": skewness(answers[:, 0].bincount(minlength=size)[candidates]),
        "distinct_words": len(answers[:, 0].unique()),
        "accuracy_at_1": hits / len(inputs.words),
    }
