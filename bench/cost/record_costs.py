"""Costs of one trained model, for its record: parameters, memory, time of the head, decode latency.

N positions, H hidden size, V vocabulary size.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import nn

from bench.cost.flops import head_targets
from bench.cost.memory import buffers_restored, mib, peak_mib, state_of, trained
from bench.cost.timing import milliseconds, once_ms
from bench.evaluation.evaluator import Evaluator
from bench.evaluation.exact_decoder import QUERIES
from bench.evaluation.score import EvaluationData
from bench.models.language_model import LanguageModel

HEAD_SECONDS = 0.1  # of repeated steps of the head, at least five of them

DECODE_SECONDS = 0.05  # of repeated calls of the decoder: hundreds with one query; at least five in any case

LONG_MS = 1000.0  # a longer call is not repeated: the subword search with a large model takes seconds

Precision = Callable[[], AbstractContextManager[Any]]  # context of a forward pass in the trainer's precision


def training_cost(model: LanguageModel, batch: Any, precision: Precision) -> dict[str, float]:
    """Measure the training costs of a trained model, whose weights and buffers are the same afterwards.

    Returns:
        `parameters`, the number of trained ones; `peak_mib`, peak of weights, gradients, optimiser state and
        activations together in a step, MiB; and, if the model has an output head, `head_train_ms_per_1k`, the time of
        its forward and backward pass, ms per 1,000 positions.
    """
    optimizer = model.configure_optimizers()
    model.train()

    def step(learn: bool) -> None:
        with precision():
            loss = model.training_step(batch, 0)
        loss.backward()
        if learn:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for group in optimizer.param_groups:
        group["lr"] = 0.0  # a step allocates the optimiser's state and leaves the weights unchanged
        group["weight_decay"] = 0.0
    with buffers_restored(model):
        step(learn=True)
        figures = {
            "parameters": trained(model),
            "peak_mib": mib([*model.parameters(), *model.buffers(), *state_of(optimizer)])
            + peak_mib(lambda: step(learn=True), model.device),
        }
        if model.output_head is not None:
            figures["head_train_ms_per_1k"] = head_milliseconds(model.output_head, batch, precision)
    model.eval()
    return figures


def head_milliseconds(head: nn.Module, batch: Any, precision: Precision) -> float:
    """Return the time of the head's forward and backward pass, ms per 1,000 positions.

    Hidden states are random; targets are those of the batch.
    """
    hidden = torch.randn(batch.trained_words, head.hidden_size, device=batch.words.device, requires_grad=True)

    def step() -> None:
        head.zero_grad(set_to_none=True)
        hidden.grad = None
        with precision():
            loss = head.loss(hidden, *head_targets(batch))
        loss.backward()

    figure = milliseconds(step, hidden.device, HEAD_SECONDS) * 1000 / batch.trained_words
    head.zero_grad(set_to_none=True)
    return figure


def decode_latency(evaluator: Evaluator, data: EvaluationData) -> dict[str, float]:
    """Return `decode_ms_1` and `decode_ms_256`: time to find the exact 10 best words of 1 and of 256 queries, ms.

    A model over a closed vocabulary is timed with the decoder of its greedy generation, a model of word pieces with its
    search for true words among the 10 best. The time to build an index is not included. A call longer than `LONG_MS` is
    timed once; other calls give a median.
    """
    decode, device = evaluator.decoder(data, max(QUERIES)), evaluator.model.device
    figures = {}
    for queries in QUERIES:
        call = partial(decode, queries)
        first = once_ms(call, device)
        figures[f"decode_ms_{queries}"] = first if first > LONG_MS else milliseconds(call, device, DECODE_SECONDS)
    return figures
