"""Continuations of many prompts at once, by a model over a closed vocabulary. R prompts, V vocabulary size."""

import numpy as np
import torch
from torch import Tensor

from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import Calibration
from bench.evaluation.exact_decoder import ExactDecoder
from bench.models.language_model import ClosedVocabularyModel, rows_of


@torch.inference_mode()
def generate_batch(
    model: ClosedVocabularyModel,
    decoder: ExactDecoder,
    vocabulary: Vocabulary,
    prompts: list[list[int]],
    count: int,
    *,
    greedy: bool,
    calibration: Calibration | None,
    seed: int,
) -> list[list[str]]:
    """Return `count` generated words, never `<unk>`, for each prompt of lexicon indices.

    Args:
        decoder: exact decoder of the model; finds the best word.
        greedy: if True, choose the word of the highest raw score; if False, draw from the calibrated distribution.
        calibration: not read if `greedy` is True.
        seed: prompt i has the seed `seed` + i, so that its text depends on no other prompt.
    """
    log_unigram = torch.from_numpy(vocabulary.log_unigram)
    generators = [torch.Generator().manual_seed(seed + i) for i in range(len(prompts))]
    uniform = torch.stack([torch.rand(count, generator=generator) for generator in generators])  # [R, count]
    lines = [list(prompt) for prompt in prompts]
    text = concatenate([np.append(line, 0) for line in lines])  # the last word is a placeholder that nothing reads
    states = model.states(text, None)
    if states is not None:
        states = rows_of(states, torch.from_numpy(text.starts[1:] - 1))
    for step in range(count):
        features = last_features(model, lines) if states is None else states[0]
        if greedy:
            chosen = decoder.best_word(features)
        else:
            scores = model.scores(features).float().cpu()
            chosen = draw(calibration.logits(scores, log_unigram), vocabulary.unk, uniform[:, step])
        for line, word in zip(lines, chosen.tolist(), strict=True):
            line.append(vocabulary.lexicon_index(word))
        if states is not None and step < count - 1:
            states = model.proceed(states, chosen.to(model.device))
    return [vocabulary.corpus.words_of(line[-count:]) for line in lines]


def last_features(model: ClosedVocabularyModel, lines: list[list[int]]) -> Tensor:
    """Read each line from its start, for a model without states; return the features of the next words. [R, …]"""
    return torch.cat([model.features(concatenate([np.append(line, 0)]), None)[-1:] for line in lines])


def draw(logits: Tensor, unk: int, uniform: Tensor) -> Tensor:
    """Draw a word other than `<unk>` per row by inversion of the cumulative distribution. [R, V], [R] -> ids [R]"""
    logits[:, unk] = -torch.inf
    cumulative = logits.double().softmax(1).cumsum(1)
    threshold = uniform[:, None].double() * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, threshold, right=True)[:, 0]
    last = logits.shape[1] - 1
    return chosen.clamp_max(last - 1 if unk == last else last)  # a sum may round up to its end
