"""What ids that fall by frequency are worth to the heads that lean on it, and to one that does not: nothing."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bench.data.corpus import Corpus, build_corpus
from bench.data.vocabulary import Vocabulary
from bench.heads import Head
from bench.heads.adaptive_softmax import AdaptiveSoftmaxHead
from bench.heads.sampled_softmax import SampledSoftmaxHead
from bench.heads.softmax import SoftmaxHead

H = 16


def words_of(random: np.random.Generator, length: int) -> list[str]:
    """1,000 types that fall as 1 / rank; every second word is the one that follows the word before it."""
    zipf = 1 / np.arange(1, 1001)
    follower = np.random.default_rng(9).choice(1000, 1000, p=zipf / zipf.sum())
    words = random.choice(1000, length, p=zipf / zipf.sum())
    for t in range(1, length):
        if random.random() < 0.5:
            words[t] = follower[words[t - 1]]
    return [f"w{word}" for word in words]


@pytest.fixture(scope="module")
def bigrams() -> Corpus:
    random = np.random.default_rng(0)
    lengths = {"train": 40_000, "validation": 4_000, "test": 10}
    return build_corpus("bigrams", {split: [words_of(random, length)] for split, length in lengths.items()})


def shuffled(vocabulary: Vocabulary, seed: int) -> Vocabulary:
    """The same words under ids that no longer fall by frequency; counts and ids still belong together."""
    other, place = copy.copy(vocabulary), np.random.default_rng(seed).permutation(len(vocabulary))
    other.ids, other.unk = place[vocabulary.ids].astype(np.int32), int(place[vocabulary.unk])
    other.counts = vocabulary.counts[np.argsort(place)]
    other.words = [vocabulary.words[i] for i in np.argsort(place)]
    return other


def validation_nats(kind: type[Head], vocabulary: Vocabulary, seed: int, **settings: object) -> float:
    """After 200 steps on pairs of neighbours, the hidden state being an embedding of the word before."""
    torch.manual_seed(seed)
    head = kind(hidden_size=H, vocabulary=vocabulary, **settings)
    trunk = torch.nn.Embedding(len(vocabulary), H)
    texts = vocabulary.corpus.train, vocabulary.corpus.validation
    train, validation = (torch.from_numpy(vocabulary.encode(text.words)).long() for text in texts)
    optimizer = torch.optim.Adam([*head.parameters(), *trunk.parameters()], lr=1e-2)
    for at in torch.randint(len(train) - 1, (200, 256), generator=torch.Generator().manual_seed(seed)):
        optimizer.zero_grad()
        head.loss(trunk(train[at]), train[at + 1]).backward()
        optimizer.step()
    with torch.no_grad():
        return float(F.cross_entropy(head.scores(trunk(validation[:-1])), validation[1:]))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("kind", "settings", "least", "most"),
    [
        (SoftmaxHead, {}, -0.05, 0.05),  # the control: the order of ids is nothing to it
        (SampledSoftmaxHead, {"samples": 16}, 0.15, math.inf),
        (AdaptiveSoftmaxHead, {"cutoffs": [0.1, 0.4], "narrowing": 4.0}, 0.3, math.inf),
    ],
)
def test_heads_that_require_frequency_order_get_worse_with_shuffled_ids(bigrams, seed, kind, settings, least, most):
    vocabulary = Vocabulary(bigrams, 800)
    lost = validation_nats(kind, shuffled(vocabulary, seed), seed, **settings)
    lost -= validation_nats(kind, vocabulary, seed, **settings)
    assert least < lost < most
