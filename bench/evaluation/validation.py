"""How a model is doing while it is trained: a small part of validation, so that looking costs little of the training.

R stretches of T words, of which the last S are measured; V vocabulary size.
"""

from functools import singledispatch
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from bench.core.errors import Diverged
from bench.data.corpus import concatenate
from bench.evaluation.calibration import fit
from bench.evaluation.ranks import count_ranks
from bench.evaluation.score import EvaluationData, device_of, scores_of, spelling
from bench.evaluation.subword_nats import word_nats
from bench.models.causal_lm import SubwordModel

STRETCHES, HISTORY, MEASURED = 32, 32, 16  # R; words that are only read, T - S; S


@singledispatch
def validate(model: Any, judged: EvaluationData) -> dict[str, float]:
    """Calibrated on every other measured word, and measured on the rest.

    `validation_nats` is open, as in a record, whose own comes of a larger sample, read with all its history.
    """
    text, vocabulary, device = judged.validation, judged.vocabulary, device_of(model)
    at = stretches(len(text))
    places = measured(at).flatten()
    log_unigram = torch.from_numpy(vocabulary.log_unigram).to(device)
    with torch.inference_mode():
        features = measured(model.recall(text, "validation", at)).flatten(0, 1)
        words = torch.from_numpy(vocabulary.encode(text.words[places]).astype(np.int64)).to(device)
        fit_on, asked = (scores_of(model, features[i::2], words[i::2], len(vocabulary)) for i in (0, 1))
        calibration = fit(fit_on, log_unigram)
        nats, hits = [], []
        for scores, true in asked():
            nats.append(F.cross_entropy(calibration.logits(scores, log_unigram), true, reduction="none"))
            hits.append(count_ranks(scores, true, vocabulary.unk).rank <= 1)
        closed = float(torch.cat(nats).double().mean())
    if not np.isfinite(closed):
        raise Diverged("scores that are not finite")
    return {
        "validation_nats": closed + float(spelling(model, judged, concatenate([text.words[places[1::2]]])).mean()),
        "validation_accuracy_at_1": float(torch.cat(hits).double().mean()),
    }


@validate.register
def _(model: SubwordModel, judged: EvaluationData) -> dict[str, float]:
    """Nats a word, of the same words; each stretch is a document of its own."""
    at = stretches(len(judged.validation))
    nats = word_nats(model, concatenate(list(judged.validation.words[at]))).reshape(at.shape)
    return {"validation_nats": float(measured(nats).flatten()[1::2].mean())}


def stretches(length: int) -> np.ndarray:
    """Positions evenly over a text, which may be a short one; none is measured twice. [R, T]"""
    steps = min(HISTORY + MEASURED, length)
    rows = max(1, min(STRETCHES, (length - HISTORY) // MEASURED))
    return np.linspace(0, length - steps, rows).astype(np.int64)[:, None] + np.arange(steps)


def measured(rows: Any) -> Any:
    """The words of each stretch that have a history. [R, T, …] -> [R, S, …]"""
    return rows[:, -max(2, rows.shape[1] * MEASURED // (HISTORY + MEASURED)) :]
