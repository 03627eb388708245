"""Continuations of a prompt, word by word, by a model over a closed vocabulary. V vocabulary size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SettingError
from bench.data.corpus import Corpus
from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.data.words import tokenize
from bench.evaluation.calibration import Calibration
from bench.evaluation.exact_decoder import ExactDecoder
from bench.evaluation.sampling import PLAIN, Sampling
from bench.models.language_model import ClosedVocabularyModel, rows_of

PROMPTS, PROMPT_WORDS = 4, 4  # number of prompts taken from the corpus, and most words of each


@torch.inference_mode()
def generate(
    model: ClosedVocabularyModel,
    decoder: ExactDecoder,
    vocabulary: Vocabulary,
    prompt: list[int],
    count: int,
    *,
    greedy: bool,
    calibration: Calibration | None,
    seed: int,
    sampling: Sampling = PLAIN,
) -> list[str]:
    """Return `count` generated words, never `<unk>`, that continue a prompt of lexicon indices.

    Args:
        decoder: exact decoder of the model; finds the best word.
        greedy: if True, choose the word of the highest raw score (the nearest word of a regressor); if False, draw.
        calibration: calibration of the distribution to draw from; not read if `greedy` is True.
        seed: seed of the draws.
        sampling: temperature, top-k and top-p of the draws.
    """
    log_unigram = torch.from_numpy(vocabulary.log_unigram)
    generator = torch.Generator().manual_seed(seed)
    words = list(prompt)
    states, features = state_after(model, words)
    for _ in range(count):
        if greedy:
            chosen = int(decoder.best_word(features))
        else:
            scores = model.scores(features)[0].float().cpu()
            chosen = draw_word(scores, calibration, log_unigram, vocabulary.unk, generator, sampling)
        words.append(vocabulary.lexicon_index(chosen))
        if states is None:
            states, features = state_after(model, words)
        else:
            states = model.proceed(states, torch.tensor([chosen], device=model.device))
            features = states[0]
    return vocabulary.corpus.words_of(words[len(prompt) :])


def state_after(model: ClosedVocabularyModel, words: list[int]) -> tuple[Any | None, Tensor]:
    """Read all words from the start; return the state (None if the model has none) and the features of the next word.

    Tensors are [1, …].
    """
    text = concatenate([np.append(words, 0)])  # the last word is a placeholder: features depend on earlier words only
    states = model.states(text, None)
    if states is None:
        return None, model.features(text, None)[-1:]
    states = rows_of(states, slice(-1, None))
    return states, states[0]


def draw_word(
    scores: Tensor,
    calibration: Calibration,
    log_unigram: Tensor,
    unk: int,
    generator: torch.Generator,
    sampling: Sampling = PLAIN,
) -> int:
    """Draw a word other than `<unk>` from the calibrated distribution of one row of scores. [V] -> id"""
    logits = calibration.logits(scores, log_unigram)
    logits[unk] = -torch.inf
    return int(torch.multinomial(sampling(logits), 1, generator=generator))


def prompts_of(
    vocabulary: Vocabulary, prompts: Sequence[str] | None, *, lowercase: bool
) -> list[tuple[str, list[int]]]:
    """Return each prompt's text and the lexicon indices of its words.

    Args:
        prompts: texts; None takes the first known words of documents spread over the validation split, so that a text
            in any language has prompts.

    Raises:
        SettingError: the corpus knows no word of a prompt.
    """
    corpus = vocabulary.corpus
    if prompts is not None:
        return [(prompt, read_prompt(corpus, prompt, lowercase=lowercase)) for prompt in prompts]
    known = [words[vocabulary.encode(words) != vocabulary.unk] for words in corpus.validation.documents()]
    known = [words[:PROMPT_WORDS].tolist() for words in known if len(words)]
    chosen = np.unique(np.linspace(0, len(known) - 1, PROMPTS).astype(int))
    return [(" ".join(corpus.words_of(known[document])), known[document]) for document in chosen]


def read_prompt(
    corpus: Corpus,
    prompt: str,
    *,
    lowercase: bool,
    setting: str = "generation.prompts",
    unknown: list[str] | None = None,
) -> list[int]:
    """Return the lexicon indices of the words of a prompt; words that the corpus does not know are left out.

    Args:
        setting: name of the prompt in an error.
        unknown: the words that are left out are appended to this list.

    Raises:
        SettingError: no word of the prompt is in the lexicon.
    """
    index = {word: i for i, word in enumerate(corpus.lexicon)}
    words = tokenize(prompt, lowercase)
    if unknown is not None:
        unknown += [word for word in words if word not in index]
    known = [index[word] for word in words if word in index]
    if not known:
        raise SettingError(setting, f"{prompt!r} holds no word of {corpus.name}; give one that does")
    return known
