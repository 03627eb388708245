"""Every figure that a record holds, defined once: what it is, in which unit, by whom, and which way is better."""

from dataclasses import dataclass

ARROW = {"lower": "↓", "higher": "↑", "neither": ""}


@dataclass(frozen=True)
class Entry:
    """One figure: where it is read, how it is headed, and what it means to somebody who sees it first."""

    field: str
    title: str
    better: str  # lower | higher | neither
    unit: str
    formula: str
    meaning: str
    source: str = ""  # paper or standard, with its year; empty where the formula says all
    scale: float = 1.0  # shown = scale × recorded
    digits: int = 3  # shown at most

    @property
    def arrow(self) -> str:
        return ARROW[self.better]

    @property
    def heading(self) -> str:
        return f"{self.title} {self.arrow}".strip()


RANK = "rank = 1 + #(score > the target's) + ½ #(other ties)"

ACCURACY = f"share of test words with rank ≤ {{}}; {RANK}"

CALIBRATED = "the same under softmax(a·score + b·log unigram), a and b fitted on validation"

OPEN = "A word outside the vocabulary is a miss and <unk> is never an answer: compares across V."

DECODE = "wall clock of the top 10 for {}: the head alone, trunk left out; of GPT-2 all, a search word by word"

PLATT = "Platt 1999; Guo et al. 2017"

BRIER_LM = (
    "100 · (Π Brier-n)^¼, n = 1 … 4, from two independent draws of 4 words a position: "
    "Brier-n = mean of #(draws whose first n words are the text's) − [the two draws agree in n words]"
)

BY_RANK = (
    "exp(mean of −log p), p(word) = q(bucket of its rank) / words in the bucket; buckets double in width, <unk> is one "
    "of its own; q fitted on validation"
)

RECIPROCAL = "TREC-8 Question Answering Track (Voorhees 1999)"

PERPLEXITY = "Jelinek et al. 1977"

QUALITY = (
    Entry("bits_per_byte", "bits per byte", "lower", "bits", "Σ open nats / (ln 2 · UTF-8 bytes, one separator a word)",
          "The headline: what a byte of the test text costs; words out of vocabulary are spelt, and paid.",
          "Shannon 1951; of word pieces Pimentel & Meister 2024", digits=4),
    Entry("word_perplexity", "word ppl", "lower", "words",
          "exp(Σ open nats / test words); a word out of vocabulary costs −log p(<unk>) − log p(spelling)",
          "What a word of the test text costs: as a choice among so many equal ones. Compares across V and with GPT-2.",
          f"{PERPLEXITY}; Pimentel & Meister 2024"),
    Entry("excess", "excess bits", "lower", "bits per word", "log2(word ppl) − log2(word ppl of truth)",
          "What the system loses on the language's own distribution; 0 is the limit, passed by luck alone.",
          "Kullback & Leibler 1951"),
    Entry("accuracy_at_1", "acc@1 %", "higher", "%", ACCURACY.format(1),
          f"How often the best answer is right, by raw score. {OPEN}", scale=100),
    Entry("accuracy_at_10", "acc@10 %", "higher", "%", ACCURACY.format(10),
          f"How often the right word is among the ten best, by raw score. {OPEN}", scale=100),
    Entry("calibrated_accuracy_at_1", "cal. acc@1 %", "higher", "%", CALIBRATED,
          "acc@1 once a prior has repaired a regressor's hubs; a softmax hardly needs one.", PLATT, 100),
    Entry("calibrated_accuracy_at_10", "cal. acc@10 %", "higher", "%", CALIBRATED,
          "acc@10, in the same way.", PLATT, 100),
    Entry("mrr_at_10", "mrr@10", "higher", "0 to 1", f"mean of 1 / rank, 0 beyond rank 10; {RANK}",
          "How far up the right word stands: 1 for a first place, ½ for a second.", RECIPROCAL),
    Entry("brier", "Brier", "higher", "−1 to 1",
          "mean of 2 p(y) − Σ p² over the vocabulary's real words, calibrated; <unk> is never an answer",
          "A proper score that one impossible word cannot ruin; compares across V.", "Brier 1950, as a gain"),
    Entry("brier_lm", "BrierLM", "higher", "0 to 100", BRIER_LM,
          "A proper score that needs draws and no probabilities. “undef.”: one of the four is not positive.",
          "Shao et al. 2025, Continuous Autoregressive Language Models"),
    Entry("closed_perplexity", "closed ppl", "lower", "words", "exp(mean nats), in-vocabulary targets only",
          "word ppl of the vocabulary's own words, calibrated. Read it with V and coverage: does not compare across V.",
          f"{PERPLEXITY}; {PLATT}"),
    Entry("rank_perplexity", "rank ppl", "lower", "words", BY_RANK,
          "What the order of the answers alone is worth: proper for any scorer, an upper bound of what it could reach. "
          "Closed: does not compare across V."),
    Entry("raw_closed_perplexity", "raw closed ppl", "lower", "words", "closed ppl from softmax(score)",
          "closed ppl before calibration; “proxy” where the scores are no log-probabilities: a number, no perplexity.",
          PERPLEXITY),
)  # fmt: skip

COST = (
    Entry("train_seconds", "train s", "lower", "s", "wall clock of the training steps, validation left out",
          "What the quality in this row was bought for."),
    Entry("encode_seconds", "encode s", "lower", "s", "the training text through the encoder, once and then cached",
          "What a regressor needs before its first step; it comes on top of the training time."),
    Entry("train_ms_per_1k", "train ms/1k", "lower", "ms per 1,000 words", "a step of the whole model",
          "Forward, backward and optimiser, of the whole model."),
    Entry("head_train_ms_per_1k", "head ms/1k", "lower", "ms per 1,000 words", "a step of the head alone",
          "The part of a training step that grows with V."),
    Entry("decode_ms_1", "decode ms, 1", "lower", "ms", DECODE.format("one query"),
          "Latency of generating text."),
    Entry("decode_ms_256", "decode ms, 256", "lower", "ms", DECODE.format("256 queries"),
          "Throughput of many requests."),
    Entry("peak_mib", "peak MiB", "lower", "MiB", "weights, gradients, optimiser state, activations",
          "Memory of a training step: decides which V fits the machine.", "IEC 80000-13: 2²⁰ bytes"),
    Entry("parameters", "params M", "lower", "millions", "trained parameters",
          "Size of the whole model.", scale=1e-6),
    Entry("flops_per_position", "MFLOP/word", "lower", "10⁶ FLOPs", "a training step, a position",
          "Arithmetic of the whole model; a multiply-add is 2. The one cost that no machine changes.", scale=1e-6),
)  # fmt: skip

UNSHOWN = (  # in the records, without a column in the tables
    Entry("accuracy_at_5", "acc@5 %", "higher", "%", ACCURACY.format(5),
          f"How often the right word is among the five best, by raw score. {OPEN}", scale=100),
    Entry("calibrated_accuracy_at_5", "cal. acc@5 %", "higher", "%", CALIBRATED,
          "acc@5, in the same way.", PLATT, 100),
    Entry("calibrated_mrr_at_10", "cal. mrr@10", "higher", "0 to 1", CALIBRATED,
          "mrr@10, in the same way.", RECIPROCAL),
    Entry("bits_per_word", "bits per word", "lower", "bits", "log2(word ppl)",
          "Its differences are those of the excess."),
    Entry("validation_nats", "validation nats", "lower", "nats per word", "mean open nats of the validation text",
          "What settings are chosen by, never by test."),
    Entry("head_flops_per_position", "head MFLOP/word", "lower", "10⁶ FLOPs", "a training step of the head, a position",
          "The part that grows with V.", scale=1e-6),
)  # fmt: skip

EVERY = (*QUALITY, *COST, *UNSHOWN)
