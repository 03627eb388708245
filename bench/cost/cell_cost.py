"""Training and decoding costs of one trained model, for its record: parameters, memory, head time, decode latency.

N positions, H hidden size, V vocabulary size.
"""

from functools import partial
from typing import Any

import torch
from torch import nn

from bench.cost.flops import head_targets
from bench.cost.memory import mib, peak_mib, state_of, trained
from bench.cost.timing import milliseconds, once_ms
from bench.evaluation.evaluator import Evaluator
from bench.evaluation.score import EvaluationData
from bench.models.language_model import LanguageModel

QUERIES = (1, 256)  # numbers of queries that are decoded together

LONG_MS = 1000.0  # a longer call is not repeated: the subword search with a large model takes seconds


def training_cost(model: LanguageModel, batch: Any) -> dict[str, float]:
    """Measure parameters, peak memory of a training step, and the head's time in the step, of a trained model.

    `peak_mib` is the peak of weights, gradients, optimiser state and activations together. Weights do not change.
    """
    optimizer = model.configure_optimizers()
    model.train()

    def step(learn: bool) -> None:
        model.training_step(batch, 0).backward()
        if learn:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for group in optimizer.param_groups:
        group["lr"] = 0.0  # a step allocates the optimiser's state and leaves the weights unchanged
        group["weight_decay"] = 0.0
    step(learn=True)
    figures = {
        "parameters": trained(model),
        "peak_mib": mib([*model.parameters(), *model.buffers(), *state_of(optimizer)])
        + peak_mib(lambda: step(learn=True), model.device),
    }
    if model.output_head is not None:
        figures["head_train_ms_per_1k"] = head_milliseconds(model.output_head, batch)
    model.eval()
    return figures


def head_milliseconds(head: nn.Module, batch: Any) -> float:
    """Return the time of the head's forward and backward pass, ms per 1,000 positions.

    Hidden states are random; targets are those of the batch.
    """
    hidden = torch.randn(batch.trained_words, head.hidden_size, device=batch.words.device, requires_grad=True)

    def step() -> None:
        head.zero_grad(set_to_none=True)
        hidden.grad = None
        head.loss(hidden, *head_targets(batch)).backward()

    figure = milliseconds(step, hidden.device) * 1000 / batch.trained_words
    head.zero_grad(set_to_none=True)
    return figure


def decoding_cost(evaluator: Evaluator, data: EvaluationData) -> dict[str, float]:
    """Measure the decode latency of 1 and of 256 queries, ms: exact 10 best words, by the decoder of greedy generation.

    The time to build an index is not included. A call longer than `LONG_MS` is timed once; other calls give a median.
    """
    decode, device = evaluator.decoder(data, max(QUERIES)), evaluator.model.device
    figures = {}
    for queries in QUERIES:
        call = partial(decode, queries)
        first = once_ms(call, device)
        figures[f"decode_ms_{queries}"] = first if first > LONG_MS else milliseconds(call, device)
    return figures
