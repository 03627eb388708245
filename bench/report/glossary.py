"""Columns of the leaderboard: quality from the registry of metrics, and costs, which are defined here."""

from bench.evaluation.metric_definition import Column, Metric
from bench.evaluation.metrics import METRICS

DECODE = "wall clock of the top 10 for {}: of the head alone, without the trunk; of all of GPT-2, a search word by word"

COST = (
    Column("train_seconds", "train s", "lower", "s", "wall clock of the training steps, validation left out",
          "Price of the quality in this row."),
    Column("encode_seconds", "encode s", "lower", "s",
           "encoding the training text once, on the machine that did it; its vectors are then cached",
          "A regressor needs the vectors before its first step; add this time to the training time."),
    Column("train_ms_per_1k", "train ms/1k", "lower", "ms per 1,000 words", "a step of the whole model",
          "Forward, backward and optimiser, of the whole model."),
    Column("head_train_ms_per_1k", "head ms/1k", "lower", "ms per 1,000 words",
          "forward and backward of the head alone", "The part of a training step that grows with V.", grows=True),
    Column("decode_ms_1", "decode ms, 1", "lower", "ms", DECODE.format("one query"),
          "Latency of generating text.", grows=True),
    Column("decode_ms_256", "decode ms, 256", "lower", "ms", DECODE.format("256 queries"),
          "Throughput of many requests.", grows=True),
    Column("peak_mib", "peak MiB", "lower", "MiB", "weights, gradients, optimiser state, activations",
          "Memory of a training step: decides which V fits the machine.", "IEC 80000-13: 2²⁰ bytes", grows=True),
    Column("parameters", "params M", "lower", "millions", "trained parameters",
          "Size of the whole model.", scale=1e-6, grows=True),
    Column("flops_per_position", "MFLOP/word", "lower", "10⁶ FLOPs", "a training step, per position",
          "Arithmetic of the whole model, without the encoder's; a multiply-add is 2. The one cost that no machine "
          "changes.", scale=1e-6, grows=True),
)  # fmt: skip

TIMES = tuple(column.name for column in COST if column.unit.split()[0] in ("s", "ms"))  # costs that a clock measured

UNSHOWN = (  # in records, without a column in the tables
    Column("head_flops_per_position", "head MFLOP/word", "lower", "10⁶ FLOPs",
           "a training step of the head, per position", "The part that grows with V.", scale=1e-6),
)  # fmt: skip


def quality(*places: str) -> list[Metric]:
    """Return the registered metrics that are shown at one of these places."""
    return [metric for metric in METRICS.values() if metric.place in places]


def shown_quality() -> list[Metric]:
    """Return the registered metrics that have a column in a table."""
    return quality("headline", "detail")


def compared() -> list[Metric]:
    """Return the metrics in the table of differences to the baseline: those that are tested for significance."""
    return [metric for metric in METRICS.values() if metric.is_compared]


def every_column() -> list[Column]:
    """Return every defined column: in tables, or in records alone."""
    return [*METRICS.values(), *COST, *UNSHOWN]


COLUMNS = {column.name: column for column in every_column()}
