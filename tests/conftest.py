"""One small language for all: twelve documents of a Markov chain whose words fall as 1 / rank."""

import itertools
import os

import numpy as np
import pytest
import torch

from bench.data.corpus import Corpus, build_corpus, split_by_document
from bench.data.vocabulary import Vocabulary

os.environ["OMP_NUM_THREADS"] = "1"  # of the commands that tests start: tests run side by side, a process a core
torch.set_num_threads(1)

SPELLINGS = ["".join(syllables) for syllables in itertools.product(("ka", "lo", "mi", "é", "st"), repeat=4)]
LENGTHS = (900, 820, 760, 700, 610, 520, 450, 380, 310, 260, 190, 100)


def chain(random: np.random.Generator, length: int) -> list[str]:
    """Every other word or so is one that likes to follow the word before it."""
    zipf = 1 / np.arange(1, len(SPELLINGS) + 1)
    words = random.choice(len(SPELLINGS), length, p=zipf / zipf.sum())
    for t in range(1, length):
        if random.random() < 0.5:
            words[t] = (7 * words[t - 1] + random.integers(3)) % len(SPELLINGS)
    return [SPELLINGS[word] for word in words]


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """6,000 words, some of which training never sees."""
    random = np.random.default_rng(0)
    return build_corpus("markov", split_by_document([chain(random, length) for length in LENGTHS]))


@pytest.fixture(scope="session")
def vocabulary(corpus) -> Vocabulary:
    return Vocabulary(corpus, 200)
