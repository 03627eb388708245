"""Lines about settings that a cell can run with, but whose figures a reader may take for something else."""

import functools
from collections.abc import Iterator

from omegaconf import DictConfig

from bench.core.progress import print_line
from bench.core.record import is_read_again
from bench.data.vocabulary import Vocabulary
from bench.evaluation.generation import read_prompt

RARE = 20  # ratio of the share of unknown words in the validation text to that in the training text


def warn(cfg: DictConfig, vocabulary: Vocabulary) -> None:
    """Print the lines about the settings of a cell, each once per process."""
    from pytorch_lightning.utilities import rank_zero_only

    for line in () if rank_zero_only.rank else lines(cfg, vocabulary):
        print_once(line)


print_once = functools.cache(print_line)


def lines(cfg: DictConfig, vocabulary: Vocabulary) -> Iterator[str]:
    """Yield the lines about the number of training words, the vocabulary and the prompts."""
    corpus, words = vocabulary.corpus, cfg.budget.words
    length = len(corpus.train)
    if words is not None and is_read_again(words, length):
        times = f"{words / length:.1f} times"
        yield f"budget.words: the training text has {length:,} words, so that {words:,} words read it {times}"
    trained, unknown = (
        vocabulary.counts[vocabulary.unk] / vocabulary.counts.sum(),
        1 - vocabulary.coverage(corpus.validation),
    )
    if unknown > RARE * trained:
        yield (
            f"vocabulary.size: {trained:.2g} of the training words are unknown, but {unknown:.2g} of the validation "
            "words, so that the spelling model has hardly any text and bits per byte are mostly the price of unknown "
            "words; choose a smaller size"
        )
    for prompt in cfg.generation.prompts or ():
        missing: list[str] = []
        read_prompt(corpus, prompt, lowercase=cfg.corpus.lowercase, unknown=missing)
        if missing:
            yield f"generation.prompts: {prompt!r}: words left out, as {corpus.name} lacks them: {', '.join(missing)}"
