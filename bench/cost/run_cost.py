"""What one head costs: time, memory and FLOPs of training and decoding, apart from trunk and data.

N positions, H hidden size, V vocabulary size.
"""

import time
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.cost.flops import head_targets
from bench.cost.memory import mib, peak_mib, state_of, trained
from bench.cost.timing import milliseconds
from bench.evaluation.score import EvaluationData
from bench.evaluation.subword_search import search, trie_of
from bench.models.causal_lm import SubwordModel

QUERIES = (1, 256)

ANSWERS = 10


def training_cost(model: nn.Module, batch: Any) -> dict[str, float]:
    """Of a trained model: its size, the memory of a training step, and the time of the head's share of it.

    `peak_mib` is that of weights, gradients, optimiser state and activations together.
    """
    optimizer = model.configure_optimizers()
    model.train()

    def step(learn: bool) -> None:
        model.training_step(batch, 0).backward()
        if learn:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for group in optimizer.param_groups:
        group["lr"] = 0.0  # allocates the optimiser's state as any step does, and moves no weight
        group["weight_decay"] = 0.0
    step(learn=True)
    figures = {
        "parameters": trained(model),
        "peak_mib": mib([*model.parameters(), *model.buffers(), *state_of(optimizer)])
        + peak_mib(lambda: step(learn=True), model.device),
    }
    if hasattr(model, "head"):
        figures["head_train_ms_per_1k"] = head_milliseconds(model.head, batch)
    model.eval()
    return figures


def head_milliseconds(head: nn.Module, batch: Any) -> float:
    """Forward and backward of the head alone, on random hidden states and the batch's targets, ms per 1 k positions."""
    hidden = torch.randn(batch.trained_words, head.hidden_size, device=batch.words.device, requires_grad=True)

    def step() -> None:
        head.zero_grad(set_to_none=True)
        hidden.grad = None
        head.loss(hidden, *head_targets(batch)).backward()

    taken = milliseconds(step, hidden.device) * 1000 / batch.trained_words
    head.zero_grad(set_to_none=True)
    return taken


@singledispatch
def decoding_cost(model: Any, judged: EvaluationData) -> dict[str, float]:
    """Exact top 10 for 1 and for 256 queries, ms, from the features of validation words on."""
    answers = min(ANSWERS, len(judged.vocabulary))
    with torch.inference_mode():
        features = model.features(judged.validation.head(max(QUERIES)), None)
        features = features.repeat(-(-max(QUERIES) // len(features)), 1)  # a short text is asked more than once
        return {
            f"decode_ms_{queries}": milliseconds(
                lambda asked=features[:queries]: model.scores(asked).topk(answers), features.device
            )
            for queries in QUERIES
        }


@decoding_cost.register
def _(model: SubwordModel, judged: EvaluationData) -> dict[str, float]:
    """For 1 and for 256 words of the vocabulary: the search for their ranks in the top 10, histories read anew.

    It includes the transformer, where a head's figure leaves the trunk out; it ends once the true word's rank is sure.
    """
    known = np.flatnonzero(judged.vocabulary.encode(judged.test.words) != judged.vocabulary.unk)
    spread = known[np.linspace(0, len(known) - 1, max(QUERIES)).astype(int)]
    trie = trie_of(model, judged.vocabulary)
    search(model, judged.test, spread[:1], trie)  # to warm up
    figures = {}
    for queries in QUERIES:  # once each: with a large model a search takes seconds
        begin = time.perf_counter()
        search(model, judged.test, spread[:queries], trie)
        figures[f"decode_ms_{queries}"] = 1e3 * (time.perf_counter() - begin)
    return figures
