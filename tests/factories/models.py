"""Small models with random weights: word models, heads from their yaml, causal language models.

N positions, H hidden size, V vocabulary size.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from bench.core.environment import config_dir
from bench.data.corpus import Corpus, build_corpus
from bench.data.vocabulary import Vocabulary
from bench.heads import Head
from bench.heads.softmax import SoftmaxHead
from bench.models.backbones.rnn import RNN
from bench.models.causal_lm import SubwordModel
from bench.models.word_batches import Inputs
from bench.models.word_model import WordModel
from factories.configurations import composed

HIDDEN = 12


def word_model(vocabulary, cell: type = nn.LSTM) -> WordModel:
    torch.manual_seed(0)
    trunk = RNN(cell=cell, hidden_size=HIDDEN, layers=2, dropout=0.0, vocabulary_size=len(vocabulary))
    head = SoftmaxHead(hidden_size=HIDDEN, vocabulary=vocabulary)
    return WordModel(trunk, head, Inputs(vocabulary), lr=0.01, weight_decay=0.1)


def context_sensitive_model(vocabulary) -> WordModel:
    """Return an untrained word model of large weights without bias, whose words depend on the preceding words."""
    made = word_model(vocabulary)
    with torch.no_grad():
        made.backbone.rnn.weight_ih_l0.mul_(20)
        made.backbone.rnn.weight_ih_l1.mul_(20)
        made.head.words.weight.mul_(3)
        made.head.words.bias.zero_()
    return made


N, H = 32, 48
SAMPLES = 64  # draws of a head that samples: fewer than the words of the smallest test vocabulary


def systems() -> list[str]:
    """Return the names of the systems that have a head."""
    files = sorted(Path(config_dir(), "system").glob("*.yaml"))
    return [file.stem for file in files if "head" in OmegaConf.load(file)]


def made(system: str, vocabulary: Vocabulary, dimension: int = 24) -> Head:
    """Build the head of a system; its target vectors are random, so that no encoder runs."""
    torch.manual_seed(0)
    cfg = composed(f"system={system}", "targets=random", f"targets.dimension={dimension}")
    if "samples" in cfg.system.head:
        cfg.system.head.samples = SAMPLES
    parts = {"hidden_size": H, "vocabulary": vocabulary}
    if "targets" in cfg.system.head:
        parts["targets"] = instantiate(cfg.targets, vocabulary=vocabulary, cache_dir=None)
    return instantiate(cfg.system.head, _partial_=True, _recursive_=False)(**parts)


def excess_over_unigram(head: Head, vocabulary: Vocabulary) -> float:
    """Train a head at one hidden state on the words of one known distribution.

    Returns the Kullback-Leibler divergence of the truth from softmax(scores), as a share of its divergence from the
    unigram distribution: 0 for a density that was learnt.
    """
    generator = torch.Generator().manual_seed(1)
    share = torch.rand(len(vocabulary), generator=generator).pow(4)
    counts = (500 * share / share.sum()).round().long()  # [V]
    words, truth = torch.arange(len(vocabulary)).repeat_interleave(counts), counts / counts.sum()
    state = torch.randn(1, H, generator=generator)
    optimizer = torch.optim.Adam(head.parameters())
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.03 * 0.02 ** (step / 400)
        optimizer.zero_grad()
        head.loss(state.expand(len(words), -1), words).backward()
        optimizer.step()
    log_p = head.scores(state)[0].log_softmax(0).detach()
    excess = F.kl_div(log_p, truth, reduction="sum")
    unlearnt = F.kl_div(torch.from_numpy(vocabulary.log_unigram), truth, reduction="sum")
    return float(excess / unlearnt)


ODD = ["don't", "naïve", "日本", "1990s", "“", "_", "…", "x1y2"]


def tiny_corpus() -> Corpus:
    """Words of one to three syllables that fall off like 1 / rank, and some odd ones."""
    random = np.random.default_rng(0)
    syllables = ["ka", "to", "mi", "ren", "so", "lu", "", ""]
    types = sorted({"".join(three) for three in itertools.product(syllables, repeat=3)} - {""})
    types = [types[i] for i in random.permutation(len(types))[:60]] + ODD
    share = 1 / np.arange(1, len(types) + 1)

    def documents(*lengths: int) -> list[list[str]]:
        return [[types[i] for i in random.choice(len(types), length, p=share / share.sum())] for length in lengths]

    train = [*documents(300, 200, 400, 500), ODD]
    return build_corpus("tiny", {"train": train, "validation": documents(50), "test": documents(40, 3, 25)})


CORPUS = tiny_corpus()

SHAPE = {"layers": 2, "width": 16, "attention_heads": 2, "context": 16, "pieces": 290, "dropout": 0.0}

FITTING = {"batch_size": 4, "lr": 1e-2, "weight_decay": 0.1}


def tiny_model(**changes: object) -> SubwordModel:
    torch.manual_seed(0)
    return SubwordModel(corpus=CORPUS, **({"pretrained": None, **SHAPE, **FITTING} | changes))


def sharpened(model: SubwordModel) -> SubwordModel:
    """Random weights so large that every position has its own likely words."""
    with torch.no_grad():
        for name, weight in model.lm.named_parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.4 if "wte" in name or "embed" in name else 0.3)
    return model
