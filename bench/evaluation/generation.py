"""Continuations of a prompt, word by word: for any model that turns features into rows of scores."""

from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.corpus import Corpus, concatenate
from bench.data.vocabulary import Vocabulary
from bench.data.words import tokenize
from bench.evaluation.calibration import Calibration
from bench.models.causal_lm import SubwordModel


@singledispatch
@torch.inference_mode()
def generate(
    model: Any,
    vocabulary: Vocabulary,
    prompt: list[int],
    count: int,
    *,
    greedy: bool,
    calibration: Calibration | None,
    seed: int,
) -> list[str]:
    """`count` words after a prompt of lexicon indices; never `<unk>`, which no reader could read.

    Args:
        greedy: take the best raw score each time (the nearest word of a regressor), else draw.
        calibration: gives the distribution to draw from; not read where greedy.
        seed: of the draws.
    """
    log_unigram = torch.from_numpy(vocabulary.log_unigram)
    generator = torch.Generator().manual_seed(seed)
    words = list(prompt)
    for _ in range(count):
        # features look at the words before a position, so whatever stands at the last one is never read
        features = model.features(concatenate([np.append(words, 0)]), None)[-1:]
        chosen = pick(
            model.scores(features)[0].float().cpu(),
            None if greedy else calibration,
            log_unigram,
            vocabulary.unk,
            generator,
        )
        words.append(vocabulary.lexicon_index(chosen))
    return vocabulary.corpus.spell(words[len(prompt) :])


@generate.register
def _(
    model: SubwordModel,
    vocabulary: Vocabulary,
    prompt: list[int],
    count: int,
    *,
    greedy: bool,
    calibration: Calibration | None,
    seed: int,
) -> list[str]:
    """Piece by piece; it may spell words that no vocabulary holds."""
    return model.generate(vocabulary.corpus.spell(prompt), count, greedy=greedy, seed=seed)


def pick(
    scores: Tensor, calibration: Calibration | None, log_unigram: Tensor, unk: int, generator: torch.Generator
) -> int:
    """One row of scores -> the next word's id. [V] -> id"""
    logits = scores.clone() if calibration is None else calibration.logits(scores, log_unigram)
    logits[unk] = -torch.inf
    if calibration is None:
        return int(logits.argmax())
    return int(torch.multinomial(logits.softmax(0), 1, generator=generator))


def read_prompt(corpus: Corpus, prompt: str, *, lowercase: bool) -> list[int]:
    """A prompt -> lexicon indices.

    Raises:
        SettingError: it holds no word, or none that the corpus knows.
    """
    index = {word: i for i, word in enumerate(corpus.lexicon)}
    words = [index[word] for word in tokenize(prompt, lowercase) if word in index]
    if not words:
        raise SettingError("generation.prompts", f"{prompt!r} holds no word of {corpus.name}; give one that does")
    return words
