"""Columns of the cost tables."""

from bench.evaluation.metric_definition import Column
from bench.report.scaling_laws import FARTHEST

POSITIONS = "of the number of positions in the caption"

DECODED = "wall clock of the top 10 for {} among all V words; the table or the product with it included"

TRAINING = (
    Column("training_ms", "step + Adam ms", "lower", "ms", "forward + backward + Adam's update",
          "Whole cost of a training step; laws, crossovers and break-even are about this figure."),
    Column("training_ratio", "× softmax", "lower", "ratio",
          "step + Adam of the head over that of full softmax at this V",
          "Below 1: cheaper than full softmax."),
    Column("step_ms", "step ms", "lower", "ms", f"forward and backward, {POSITIONS}",
          "Cost of the arithmetic."),
    Column("adam_ms", "Adam ms", "lower", "ms", "the optimiser's update after the step, in the head's own form",
          "A dense update touches every word's row; a sparse update only the rows of the batch."),
    Column("sgd_ms", "SGD ms", "lower", "ms", "the same update by plain SGD",
          "Cost of the update without Adam's two running means."),
    Column("peak_share", "% of peak", "higher", "%", "FLOP/s of the step over the FLOP/s of a large matrix product",
          "Share of the machine that the step uses; the rest waits for memory or for Python.", scale=100),
    Column("flops_per_position", "MFLOP/word", "lower", "10⁶ FLOPs", "of the step, per position",
          "The arithmetic that no machine changes.", scale=1e-6),
)  # fmt: skip

MEMORY = (
    Column("total_mib", "total MiB", "lower", "MiB", "weights + Adam's state + peak of the step",
          "Decides which V fits the machine."),
    Column("peak_mib", "peak MiB", "lower", "MiB", "most memory that the step holds beyond the weights",
          "Logits, gradients and all intermediate results."),
    Column("weights_mib", "weights MiB", "lower", "MiB", "parameters and tables",
          "Includes a regressor's table of word vectors, though the table is not trained."),
    Column("adam_mib", "Adam MiB", "lower", "MiB", "Adam's running means",
          "Twice the trained parameters, if the update is dense."),
    Column("parameters", "params M", "lower", "millions", "trained parameters", "Size.", scale=1e-6),
)  # fmt: skip

DECODING = (
    Column("decode_1_ms", "decode ms, 1", "lower", "ms", DECODED.format("one query"), "Latency of generating text."),
    Column("decode_256_ms", "decode ms, 256", "lower", "ms", DECODED.format("256 queries"),
          "Throughput of many requests."),
    Column("decode_ratio", "× softmax, 256", "lower", "ratio",
          "256 queries of the head over those of full softmax at this V",
          "Below 1: cheaper than full softmax."),
    Column("rank_256_ms", "rank ms, 256", "lower", "ms", "rank of the true word, 256 queries",
          "Evaluation needs this rank."),
)  # fmt: skip

APPROXIMATE = (
    Column("index_build_s", "build s", "lower", "s", "making the index of all V vectors",
          "Paid once for a fixed table; again after every training of a trained table."),
    Column("index_recall_at_1", "recall@1 %", "higher", "%", "share of queries whose nearest word the index finds",
          "Loss of the first answer by approximation.", scale=100),
    Column("index_recall_at_10", "recall@10 %", "higher", "%", "share of the exact top 10 that the index finds",
          "Loss of the list by approximation.", scale=100),
    Column("index_decode_1_ms", "index ms, 1", "lower", "ms", "top 10 by the index, one query",
          "Latency with an index."),
    Column("index_decode_256_ms", "index ms, 256", "lower", "ms", "top 10 by the index, 256 queries",
          "Throughput with an index."),
    Column("index_ratio", "× exact, 1", "lower", "ratio", "one query by the index over one by exact search",
          "Below 1: the index is faster."),
)  # fmt: skip

LAWS = (
    Column("fixed", "a ms", "neither", "ms", "a of t(V) = a + b·(V/1000)^γ", "Cost that does not depend on V."),
    Column("slope", "b ms", "neither", "ms", "b of the same law", "Cost, at V = 1,000, of the part that grows."),
    Column("growth", "γ", "neither", "power", "γ of the same law: 0 flat, ½ a root, 1 in proportion to V",
          "Speed of growth: ten times the words cost 10^γ times as much of b."),
    Column("misfit", "misfit %", "neither", "%", "the largest |t / law − 1| of a point",
          "Distance of the law from the measurements: above about 20 % the law does not hold.", scale=100),
    Column("far", f"V = {FARTHEST:,}", "neither", "ms", "the law at ten million words",
          "Extrapolated, not measured; memory may end before."),
)  # fmt: skip

LOOP_TIMES = (
    Column("bare_ms", "bare ms/1k", "lower", "ms", "next batch, forward, backward, clipping, update; per 1,000 words",
          "A loop of ten lines around the same model: the other loops are compared with this loop."),
    Column("trainer_ms", "Trainer ms/1k", "lower", "ms", "the same steps by Lightning's Trainer, without callbacks",
          "Cost of the library itself."),
    Column("trainer_ratio", "Trainer, × bare", "lower", "ratio", "Trainer over bare, round by round",
          "1: the Trainer is free."),
    Column("default_ms", "default ms/1k", "lower", "ms",
          "steps of this project's training, with validation, logging and checkpoints spread over the words",
          "Whole cost of training, except starting the logger once per process."),
    Column("default_ratio", "default, × bare", "lower", "ratio", "default over bare, round by round",
          "1.05: a twentieth of the time is spent on validation, logging and checkpoints."),
)  # fmt: skip

LOOP_PARTS = (
    Column("look_share", "validation %", "lower", "%", "validation over the bare loop's time",
          "Cost of a learning curve.",
          scale=100),
    Column("log_share", "logging %", "lower", "%", "rows handed to the logger, likewise",
          "Cost of sending the learning curve to the logger.",
          scale=100),
    Column("checkpoint_share", "checkpoints %", "lower", "%", "checkpoints, one per checkpoint.seconds, likewise",
          "Cost of losing at most a minute when the process is killed.", scale=100),
    Column("data_share", "data %", "lower", "%", "waiting for the next batch, likewise; the bare loop waits too",
          "Shows if the data keep up.", scale=100),
    Column("look_ms", "validation ms", "lower", "ms", "one validation", "Grows with V, as scoring does."),
    Column("log_ms", "log row ms", "lower", "ms", "one row handed to the logger",
          "The service writes the row meanwhile."),
    Column("checkpoint_ms", "checkpoint ms", "lower", "ms", "weights, optimiser and states written to the disk",
          "Grows with the parameters."),
)  # fmt: skip

ENCODING = (
    Column("words_per_second", "words/s", "higher", "words per second", "vectors that are kept, per second",
          "Speed of encoding a text; later runs read the cache from the disk."),
    Column("times_peer", "× plain", "lower", "ratio", "time per word over that of a plain implementation, same windows",
          "Below 1: faster than plain passes."),
    Column("cosine_to_fp32", "cos to fp32", "higher", "cosine", "mean cosine to the vector of a plain pass in fp32",
          "1 except for rounding: the speed costs no exactness.", digits=6),
    Column("least_cosine_to_fp32", "least", "higher", "cosine", "the least of these cosines", "The worst word.",
          digits=6),
    Column("peak_mib", "peak MiB", "lower", "MiB", "most memory that encoding holds beyond the weights",
          "Batches are bounded, so the peak does not grow with the text."),
)  # fmt: skip

DRIFT = (
    Column("cosine", "cosine", "higher", "cosine", "mean over words, to the prefix vector of the same position",
          "Nearness of a cheap vector to the exact vector."),
    Column("own_nearest", "own nearest %", "higher", "%", "share of positions whose nearest prefix vector is their own",
          "Shows if the vector still distinguishes positions.", scale=100),
    Column("cosine_within", "cosine, within", "higher", "cosine", "the cosine where both read the same words",
          "Effect of the causal mask alone: attention that BERT was not trained with."),
    Column("own_nearest_within", "own nearest %, within", "higher", "%", "the share, likewise",
          "Shows if the vector still distinguishes positions.", scale=100),
)  # fmt: skip

MEASURED = (*TRAINING, *MEMORY, *DECODING)

EVERY_COST = (
    *MEASURED,
    *APPROXIMATE,
    *LAWS,
    *ENCODING[:-1],
    *DRIFT,
    *LOOP_TIMES,
    *LOOP_PARTS,
)  # peak_mib is defined once

COST_COLUMNS = {column.name: column for column in EVERY_COST}
