"""Interleaved rounds of encoder variants: speed, memory, and similarity to the vectors of plain passes in fp32.

Legend: N words, D width of the encoder.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from bench.core.errors import SettingError
from bench.cost.contender import Missing
from bench.cost.encoder_drift import cosines
from bench.cost.encoder_variants import EncoderVariant, PlainReader, Sample, encode, encode_pieces
from bench.cost.interleave import Participant, Result, interleave
from bench.cost.memory import peak_mib
from bench.cost.schema import EncoderRow
from bench.cost.timing import span


@dataclass(eq=False)
class EncoderResult(Result):
    """Result of one variant."""

    variant: EncoderVariant
    words_per_second: list[float] = field(default_factory=list)  # one speed per round
    vectors: dict[int | None, np.ndarray] = field(default_factory=dict)  # [N, D] by document; None: of the whole text

    def row(self) -> EncoderRow:
        """Return the ledger's row."""
        return EncoderRow(
            contender=self.variant.name,
            status=self.status,
            reason=self.reason,
            context=self.variant.context,
            window=self.variant.window,
            precision=self.variant.precision,
            words_per_second=span(self.words_per_second) if self.words_per_second else None,
            **self.figures,
        )


def measure(
    variants: list[EncoderVariant], sample: Sample, rounds: int, show: Callable[[float, str], None]
) -> list[EncoderResult]:
    """Measure all rounds, then compare this project's variants with their baselines."""
    results = [EncoderResult(each) for each in variants]
    labels = [f"{each.name}, {each.context}" for each in variants]
    measures = [partial(measure_once, each, sample) for each in results]
    interleave([*map(Participant, labels, results, measures)], rounds, show)
    for result in results:
        if result.status == "ok" and result.variant.baseline is None:
            with result.attempt("comparison"):
                compare_with_baseline(result, baseline_of(result, results), sample)
    return results


def measure_once(result: EncoderResult, sample: Sample, nth_round: int) -> None:
    """Load the model, warm up, and time one pass over the sample, or over one document if every word has a pass.

    The first round measures memory too. The vectors are kept for the comparisons.

    Raises:
        Missing: the model cannot be read in this context.
    """
    document = nth_round % len(sample.text.documents()) if result.variant.one_pass_per_word else None
    part = sample if document is None else sample.document(document)
    try:
        reader = result.variant.build()
    except SettingError as error:
        raise Missing(str(error)) from None
    pieces, begins = reader.tokenize(part.lexicon, part.text.words)

    def read() -> np.ndarray:
        return encode_pieces(reader, pieces, begins, part.text.starts)

    few = sample.document(0).cut(result.variant.window)
    encode(reader, Sample(few.lexicon, few.text.head(result.variant.window)))
    if not result.words_per_second:
        result.figures["peak_mib"] = peak_mib(read, reader.model.device)
    begin = time.perf_counter()
    result.vectors[document] = read()
    result.words_per_second.append(len(part.text) / (time.perf_counter() - begin))


def baseline_of(result: EncoderResult, results: list[EncoderResult]) -> EncoderResult | None:
    """Return the baseline that reads the same windows; None if no sound result has one."""
    windows = result.variant.context, result.variant.window
    sound = (each for each in results if each.variant.baseline is not None and each.status == "ok")
    return next((each for each in sound if (each.variant.context, each.variant.window) == windows), None)


def compare_with_baseline(result: EncoderResult, baseline: EncoderResult | None, sample: Sample) -> None:
    """Add the ratio of times to the baseline, and cosines to plain passes over the same windows in fp32.

    The plain passes are the baseline's; without a baseline they are run here.
    """
    document, vectors = next(iter(result.vectors.items()))
    if baseline is not None:
        plain = baseline.vectors[document]
        speeds = zip(result.words_per_second, baseline.words_per_second, strict=True)
        result.figures["times_peer"] = span([theirs / ours for ours, theirs in speeds])
    else:
        part = sample if document is None else sample.document(document)
        plain = encode(replace(result.variant, baseline=PlainReader).build(), part)
    similarity = cosines(vectors, plain)
    result.figures["cosine_to_fp32"] = float(similarity.mean())
    result.figures["least_cosine_to_fp32"] = float(similarity.min())


def drift_vectors(
    results: list[EncoderResult], sample: Sample, window: int
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray] | None:
    """Return the arguments of `drifts`; None if there are no exact vectors. [N, D] each

    The arguments are vectors of cheap contexts by name, exact vectors, and exact vectors within a causal pass.
    """
    sound = (each for each in results if each.status == "ok" and each.variant.baseline is None)
    by_context = {each.variant.context: each for each in sound if each.variant.window == window}
    exact = by_context.pop("prefix", None)
    if exact is None:
        return None
    reader, known = exact.variant.build(), exact.vectors
    documents = range(len(sample.text.documents()))
    parts = [known[nth] if nth in known else encode(reader, sample.document(nth)) for nth in documents]
    cheap = {context: each.vectors[None] for context, each in by_context.items()}
    cheap["the bare word"] = encode(reader, sample.isolated_types())[sample.text.words]
    return cheap, np.concatenate(parts), encode(reader, sample.cut(window))
