"""The columns of the cost tables, defined once."""

from bench.report.glossary import Entry
from bench.report.scaling_laws import FARTHEST

POSITIONS = "of as many positions as the caption says"

DECODED = "wall clock of the top 10 for {} among all V words; the table or the product with it included"

TRAINING = (
    Entry("training_ms", "step + Adam ms", "lower", "ms", "forward + backward + Adam's update",
          "What a step of training costs in all; laws, crossovers and break-even are about this."),
    Entry("training_ratio", "× softmax", "lower", "ratio", "its step + Adam over full softmax's at this V",
          "Below 1: cheaper than full softmax."),
    Entry("step_ms", "step ms", "lower", "ms", f"forward and backward, {POSITIONS}",
          "What the arithmetic costs."),
    Entry("adam_ms", "Adam ms", "lower", "ms", "the optimiser's update after it, in the head's own form",
          "A dense update touches every word's row; a sparse one those of the batch."),
    Entry("sgd_ms", "SGD ms", "lower", "ms", "the same update by plain SGD",
          "What is left of the update without Adam's two running means."),
    Entry("peak_share", "% of peak", "higher", "%", "FLOP/s of the step over those of a large matrix product",
          "How much of the machine the step uses; the rest waits for memory or for Python.", scale=100),
    Entry("flops_per_position", "MFLOP/word", "lower", "10⁶ FLOPs", "of the step, a position",
          "The arithmetic that no machine changes.", scale=1e-6),
)  # fmt: skip

MEMORY = (
    Entry("total_mib", "total MiB", "lower", "MiB", "weights + Adam's state + peak of the step",
          "Decides which V fits the machine."),
    Entry("peak_mib", "peak MiB", "lower", "MiB", "what the step holds at most beyond the weights",
          "Logits, gradients and all that lies between."),
    Entry("weights_mib", "weights MiB", "lower", "MiB", "parameters and tables",
          "A regressor's table of word vectors counts, though it is not trained."),
    Entry("adam_mib", "Adam MiB", "lower", "MiB", "Adam's running means", "Twice what is trained, where it is dense."),
    Entry("parameters", "params M", "lower", "millions", "trained parameters", "Size.", scale=1e-6),
)  # fmt: skip

DECODING = (
    Entry("decode_1_ms", "decode ms, 1", "lower", "ms", DECODED.format("one query"), "Latency of generating text."),
    Entry("decode_256_ms", "decode ms, 256", "lower", "ms", DECODED.format("256 queries"),
          "Throughput of many requests."),
    Entry("decode_ratio", "× softmax, 256", "lower", "ratio", "its 256 queries over full softmax's at this V",
          "Below 1: cheaper than full softmax."),
    Entry("rank_256_ms", "rank ms, 256", "lower", "ms", "rank of the true word, 256 queries",
          "What evaluation asks of a head."),
)  # fmt: skip

APPROXIMATE = (
    Entry("index_build_s", "build s", "lower", "s", "making the index of all V vectors",
          "Paid once for a table that stands; again whenever it has been trained."),
    Entry("index_recall_at_1", "recall@1 %", "higher", "%", "share of queries whose nearest word the index finds",
          "What approximation loses of the first answer.", scale=100),
    Entry("index_recall_at_10", "recall@10 %", "higher", "%", "share of the exact top 10 that the index finds",
          "What approximation loses of the list.", scale=100),
    Entry("index_decode_1_ms", "index ms, 1", "lower", "ms", "top 10 by the index, one query", "Latency, with it."),
    Entry("index_decode_256_ms", "index ms, 256", "lower", "ms", "top 10 by the index, 256 queries",
          "Throughput with an index."),
    Entry("index_ratio", "× exact, 1", "lower", "ratio", "one query by the index over one by exact search",
          "Below 1: the index is faster."),
)  # fmt: skip

LAWS = (
    Entry("fixed", "a ms", "neither", "ms", "a of t(V) = a + b·(V/1000)^γ", "What is paid whatever V is."),
    Entry("slope", "b ms", "neither", "ms", "b of the same", "What the part that grows costs at V = 1,000."),
    Entry("growth", "γ", "neither", "power", "γ of the same: 0 flat, ½ a root, 1 in proportion to V",
          "How fast it grows: ten times the words cost 10^γ times as much of b."),
    Entry("misfit", "misfit %", "neither", "%", "the largest |t / law − 1| of a point",
          "How far the law is from what was measured: above some 20 % it is no law.", scale=100),
    Entry("far", f"V = {FARTHEST:,}", "neither", "ms", "the law at ten million words",
          "Extrapolated: nobody measured it, and memory may end before."),
)  # fmt: skip

LOOP_TIMES = (
    Entry("bare_ms", "bare ms/1k", "lower", "ms", "next batch, forward, backward, clipping, update; of 1,000 words",
          "A loop of ten lines around the same model: what the others are held against."),
    Entry("trainer_ms", "Trainer ms/1k", "lower", "ms", "the same steps by Lightning's Trainer, with nothing hung in",
          "What the library itself costs."),
    Entry("trainer_ratio", "Trainer, × bare", "lower", "ratio", "Trainer over bare, round by round", "1: it is free."),
    Entry("default_ms", "default ms/1k", "lower", "ms",
          "steps of this project's training, and its looks, rows and checkpoints spread over the words between them",
          "What training takes in all, but for starting the logger once a process."),
    Entry("default_ratio", "default, × bare", "lower", "ratio", "default over bare, round by round",
          "1.05: a twentieth of the time goes to watching."),
)  # fmt: skip

LOOP_PARTS = (
    Entry("look_share", "looks %", "lower", "%", "looks at validation over the bare loop's time", "What a curve costs.",
          scale=100),
    Entry("log_share", "logging %", "lower", "%", "rows handed to the logger, likewise", "What mirroring it costs.",
          scale=100),
    Entry("checkpoint_share", "checkpoints %", "lower", "%", "checkpoints, one a checkpoint.seconds, likewise",
          "What it costs that a kill loses a minute at most.", scale=100),
    Entry("data_share", "data %", "lower", "%", "waiting for the next batch, likewise; the bare loop waits too",
          "Whether the data keep up.", scale=100),
    Entry("look_ms", "look ms", "lower", "ms", "one look at validation", "Grows with V, as scoring does."),
    Entry("log_ms", "row ms", "lower", "ms", "one row handed to the logger", "The service writes it meanwhile."),
    Entry("checkpoint_ms", "checkpoint ms", "lower", "ms", "weights, optimiser and states written to the disk",
          "Grows with the parameters."),
)  # fmt: skip

READING = (
    Entry("words_per_second", "words/s", "higher", "words a second", "vectors that are kept, a second",
          "How long encoding a text takes; the cache is then read from the disk."),
    Entry("times_peer", "× peer", "lower", "ratio", "time a word over that of what a user would write, same windows",
          "Below 1: faster than plain passes."),
    Entry("cosine_to_fp32", "cos to fp32", "higher", "cosine", "mean cosine to the vector of a plain pass in fp32",
          "1 but for rounding: the speed costs no exactness.", digits=6),
    Entry("least_cosine_to_fp32", "least", "higher", "cosine", "the least of these cosines", "The worst word.",
          digits=6),
    Entry("peak_mib", "peak MiB", "lower", "MiB", "what reading holds at most beyond the weights",
          "Batches are bounded, so it does not grow with the text."),
)  # fmt: skip

DRIFT = (
    Entry("cosine", "cosine", "higher", "cosine", "mean over words, to the prefix vector of the same place",
          "How near a cheap vector is to the exact one."),
    Entry("own_nearest", "own nearest %", "higher", "%", "share of places whose nearest prefix vector is their own",
          "Whether it still tells one place from another.", scale=100),
    Entry("cosine_within", "cosine, within", "higher", "cosine", "the same where both read the same words",
          "What the causal mask alone does: attention that BERT was not trained with."),
    Entry("own_nearest_within", "own nearest %, within", "higher", "%", "the share, likewise",
          "Whether it still tells one place from another.", scale=100),
)  # fmt: skip

MEASURED = (*TRAINING, *MEMORY, *DECODING)

EVERY = (*MEASURED, *APPROXIMATE, *LAWS, *READING[:-1], *DRIFT, *LOOP_TIMES, *LOOP_PARTS)  # a peak is a peak
