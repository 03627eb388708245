"""Collapse of a regressor: spread of its predictions beside the spread of its targets, and a shuffled-context control.

N positions, D embedding size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.evaluation.diagnosis.inputs import Case, Inputs

SEED = 0  # of the permutation of contexts


def effective_rank(vectors: Tensor) -> float:
    """Return exp(entropy of the covariance's normalised eigenvalues), Roy & Vetterli 2007. [N, D]

    The rank is between 1 and D; 0 if all vectors are equal.
    """
    centred = (vectors - vectors.mean(0)).double()
    shares = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0)
    shares = shares / shares.sum()
    return float(torch.special.entr(shares).sum().exp()) if shares.isfinite().all() else 0.0


def total_variance(vectors: Tensor) -> float:
    """Return the trace of the covariance. [N, D]"""
    return float(vectors.double().var(0, correction=0).sum())


@torch.inference_mode()
def collapse(case: Case, inputs: Inputs) -> dict[str, float | None]:
    """Return variance, effective rank, distinct words, cosine and accuracy of predictions beside the targets, by field.

    A high cosine alone is no evidence of learning. The control, `shuffled_cosine` and `shuffled_accuracy_at_1`,
    compares each prediction with the target of another, random position.
    """
    candidates = torch.zeros(len(case.log_unigram)).index_fill_(0, torch.tensor(case.unk), -torch.inf)
    nearest = torch.cat([(case.scores(block) + candidates).argmax(1) for block in inputs.blocks(len(case.log_unigram))])
    predicted, targets = case.head.predictions(inputs.features), inputs.vectors
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(SEED))
    known = inputs.words != case.unk
    variance = total_variance(targets)
    return {
        "variance_over_targets": total_variance(predicted) / variance if variance else None,
        "effective_rank": effective_rank(predicted),
        "target_effective_rank": effective_rank(targets),
        "distinct_words": len(nearest.unique()),
        "distinct_true_words": len(inputs.words[known].unique()),
        "cosine": float(F.cosine_similarity(predicted, targets).mean()),
        "shuffled_cosine": float(F.cosine_similarity(predicted, targets[order]).mean()),
        "accuracy_at_1": float(((nearest == inputs.words) & known).double().mean()),
        "shuffled_accuracy_at_1": float(((nearest == inputs.words[order]) & known[order]).double().mean()),
    }
