"""Validation during training, on a small part of the validation text, to keep its time small.

R segments of T words, of which the last S are measured; V vocabulary size.
"""

from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.errors import Diverged
from bench.data.text import concatenate
from bench.evaluation.calibration import fit
from bench.evaluation.ranks import count_ranks
from bench.evaluation.score import EvaluationData, kept, score_blocks, spelling_nats
from bench.models.language_model import ClosedVocabularyModel

SEGMENTS, HISTORY, MEASURED = 32, 32, 16  # number of segments R; words read but not measured, T - S; words measured, S

Array = TypeVar("Array", np.ndarray, Tensor)


def validate(model: ClosedVocabularyModel, data: EvaluationData) -> dict[str, float]:
    """Calibrate on every second word of the sample, and measure on the other words.

    `validation_nats` include the spelling of out-of-vocabulary words, as in a record. A record has the figure of a
    larger sample, in which the model reads each word with its whole history.

    Raises:
        Diverged: scores that are not finite.
    """
    text, vocabulary = data.validation, data.vocabulary
    segments = segment_positions(len(text))
    positions = measured_part(segments).flatten()
    log_unigram = torch.from_numpy(vocabulary.log_unigram).to(model.device)
    with torch.inference_mode():
        features = measured_part(model.segment_features(text, "validation", segments)).flatten(0, 1)
        words = torch.from_numpy(vocabulary.encode(text.words[positions]).astype(np.int64)).to(model.device)
        size, halves = len(vocabulary), [(features[i::2], words[i::2]) for i in (0, 1)]
        fit_on, measure_on = (kept(score_blocks(model, *half, size), len(half[1]) * size) for half in halves)
        calibration = fit(fit_on, log_unigram)
        nats, hits = [], []
        for scores, true in measure_on():
            nats.append(F.cross_entropy(calibration.logits(scores, log_unigram), true, reduction="none"))
            hits.append(count_ranks(scores, true, vocabulary.unk).rank <= 1)
        closed = float(torch.cat(nats).double().mean())
    if not np.isfinite(closed):
        raise Diverged("scores that are not finite")
    spelling = spelling_nats(model, data, concatenate([text.words[positions[1::2]]]))
    return {
        "validation_nats": closed + float(spelling.mean()),
        "validation_accuracy_at_1": float(torch.cat(hits).double().mean()),
    }


def segment_positions(length: int) -> np.ndarray:
    """Return positions of evenly spaced segments whose measured parts do not overlap. -> [R, T]

    A short text has fewer or shorter segments.
    """
    steps = min(HISTORY + MEASURED, length)
    rows = max(1, min(SEGMENTS, (length - HISTORY) // MEASURED))
    return np.linspace(0, length - steps, rows).astype(np.int64)[:, None] + np.arange(steps)


def measured_part(segments: Array) -> Array:
    """Return the last S words of each segment, which have a history. [R, T, …] -> [R, S, …]"""
    return segments[:, -max(2, segments.shape[1] * MEASURED // (HISTORY + MEASURED)) :]
