"""Synthetic records: a plausible sweep, and records in which few fields were measured."""

import dataclasses
from pathlib import Path

import numpy as np

from bench.core.record import Record, write_record
from bench.report import run_table

SIZES = (1000, 5000, 20000)

SYSTEMS = {  # bits per byte, accuracy@1, ms of the head at V = 1,000, and its growth with V
    "softmax": (2.05, 0.21, 4.0, 0.95),
    "sampled_softmax": (2.10, 0.20, 2.5, 0.05),
    "adaptive_softmax": (2.08, 0.205, 2.2, 0.45),
    "mse": (2.45, 0.11, 1.1, 0.02),
    "cosine": (2.41, 0.12, 1.2, 0.02),
    "gpt2-scratch": (2.15, 0.19, 9.0, 0.0),
    "unigram": (2.95, 0.05, None, None),
    "ngram": (2.30, 0.17, None, None),
}

KINDS = {"mse": "regressor", "cosine": "regressor", "unigram": "floor", "ngram": "floor", "truth": "limit"}

DIFFICULTY = np.tile([0.1, -0.2, 0.3, 0.0, -0.1, 0.2, -0.3, 0.05], 2)  # bits per byte of a document, for every system


def synthetic_record(system: str, size: int, seed: int, random: np.random.Generator) -> Record:
    """Return one plausible record."""
    bits, accuracy, head_ms, growth = SYSTEMS[system]
    step = np.log10(size / 1000)
    noise = random.normal(0, 0.008, 4)
    bits, accuracy = bits - 0.12 * step + noise[0], accuracy + 0.01 * step + noise[1] / 4
    nats = bits * 0.69 * 5.6
    kind = KINDS.get(system, "classifier")
    trained = kind in run_table.COMPETING
    regressor = kind == "regressor"
    words = np.linspace(50_000, 500_000, 10)
    cost = {}
    if trained:
        head = head_ms * (size / 1000) ** growth * (1 + noise[2])
        flops = 2e7 + 1e6 * head
        cost = {
            "trained_words": 500_000,
            "train_seconds": 500 * (0.02 + head / 1000) * 10,
            "train_ms_per_1k": head + 20,
            "head_train_ms_per_1k": head,
            "decode_ms_1": 0.05 + size * accuracy / 2e4,
            "decode_ms_256": 0.5 + size * accuracy / 1e3,
            "peak_mib": 200 + size / 40 * growth,
            "parameters": 2_000_000 + (384 if regressor else 128) * size,
            "flops_per_position": flops,
            "head_flops_per_position": 1e6 * head,
            "curve": [
                {
                    "words": w,
                    "seconds": w / 1e3 * (0.02 + head / 1000) * 10,
                    "flops": w * flops,
                    "validation_nats": nats + 2.5 * np.exp(-w / 1.2e5) + noise[3] * 2,
                    "validation_accuracy_at_1": accuracy * (1 - np.exp(-w / 1e5)),
                }
                for w in words
            ],
            "generations": [
                {
                    "prompt": prompt,
                    "greedy": "of the first of the first of the first of the first",
                    "sampled": "of a small city in the north , where it was the first king 's house",
                }
                for prompt in ("in the beginning", "the city of", "he was born in", "the")
            ],
        }
    return Record(
        experiment="vocab_sweep",
        system=system,
        head=system if trained and system != "gpt2-scratch" else None,
        backbone="lstm" if trained else None,
        corpus="wiki_sample",
        vocabulary_size=size,
        seed=seed,
        coverage=0.78 + 0.08 * step,
        test_words=56_012,
        test_bytes=310_000,
        accuracy_at_1=accuracy,
        accuracy_at_5=accuracy * 1.9,
        accuracy_at_10=accuracy * 2.3,
        mrr_at_10=accuracy * 1.35,
        calibrated_accuracy_at_1=accuracy * (1.4 if regressor else 1.0),
        calibrated_accuracy_at_5=accuracy * 2,
        calibrated_accuracy_at_10=accuracy * (2.6 if regressor else 2.3),
        calibrated_mrr_at_10=accuracy * 1.4,
        ranked_words=56_012,
        accuracy_by_decile=[accuracy * float(3 * np.exp(-0.45 * d)) for d in range(10)],
        word_perplexity=float(np.exp(nats)),
        bits_per_byte=float(bits),
        closed_perplexity=float(np.exp(nats - 1)),
        raw_closed_perplexity=float(np.exp(nats + 2 * regressor)),
        is_density=not regressor,
        calibration_scale=1.0,
        calibration_prior=0.0,
        config={
            "system": {"name": system, "kind": kind},
            "corpus": {"name": "wiki_sample"},
            "vocabulary": {"size": size},
            "seed": seed,
            "inputs": "learned",
        },
        versions={"torch": "2.13.0"},
        device="cpu",
        git_commit="0123456789abcdef",
        corpus_sha256="ab" * 32,
        finished_at=f"2026-01-01T00:00:0{seed}+00:00",
        **cost,
    )


def sweep_records() -> list[Record]:
    """Return every system at every size with two seeds; of adaptive softmax at the largest V only one ended well."""
    random = np.random.default_rng(0)
    records = [synthetic_record(s, size, seed, random) for s in SYSTEMS for size in SIZES for seed in (0, 1)]
    lost = next(i for i, r in enumerate(records) if (r.system, r.vocabulary_size) == ("adaptive_softmax", 20000))
    unmeasured = dict.fromkeys(run_table.NUMBERS) | {"accuracy_by_decile": None, "curve": [], "generations": []}
    reason = "no memory for 20,000 logits"
    records[lost] = dataclasses.replace(records[lost], status="oom", reason=reason, is_density=None, **unmeasured)
    return records


def write_all(records: list[Record], folder: Path) -> None:
    """Write records into a folder, each to a path of its own."""
    for record in records:
        write_record(record, folder / f"{record.system}-v{record.vocabulary_size}-s{record.seed}-{id(record):x}")


def partial_record(**fields: object) -> Record:
    """Return a record of one system in which only the given fields were measured."""
    cell = {"experiment": "e", "system": "softmax", "head": None, "backbone": "lstm", "corpus": "c", "seed": 0}
    kind = KINDS.get(str(fields.get("system", "softmax")), "classifier")
    return Record(**cell | {"vocabulary_size": 1000, "config": {"system": {"kind": kind}}} | fields)


def blocked_record(system: str, bits: float, noise: float = 0.0, **fields: object) -> Record:
    """Return a record with sums per block of documents, so that intervals exist."""
    bits_per_byte = bits + float(DIFFICULTY.mean())
    figures = {
        "bits_per_byte": bits_per_byte,
        "accuracy_at_1": 0.335,
        "word_perplexity": 2 ** (bits_per_byte * 5),
    }
    return partial_record(system=system, blocks=blocks(bits, noise), **figures | fields)


def blocks(bits: float, noise: float = 0.0) -> dict[str, list[float]]:
    """Return sums of sixteen documents of 100 words and 500 bytes each, at about `bits` bits per byte.

    The systems share each document's difficulty; `noise` is the system's own, in bits per byte. 30 to 37 words hit.
    """
    own = noise * np.tile([1, -1], 8)
    nats = (bits + DIFFICULTY + own) * 500 * np.log(2)
    words, hits = np.full(16, 100.0), 30.0 + np.tile(np.arange(8), 2)
    sums = {"words": words, "bytes": 5 * words, "nats": nats, "ranked": words, "hits_at_1": hits}
    return {name: each.tolist() for name, each in sums.items()}
