"""Decode latency of one trained model, for its record; `bench.cost.head_rounds` times the same look-up for ledgers."""

from functools import partial

from bench.cost.timing import milliseconds, once_ms
from bench.evaluation.evaluator import Evaluator
from bench.evaluation.score import EvaluationData

QUERIES = (1, 256)  # numbers of queries that are decoded together
SECONDS = 0.05  # of repetition: hundreds of calls of one query; at least five calls in any case
LONG_MS = 1000.0  # a longer call is not repeated: the subword search with a large model takes seconds


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
        figures[f"decode_ms_{queries}"] = first if first > LONG_MS else milliseconds(call, device, SECONDS)
    return figures
