"""Synthetic cost ledgers of heads and of the encoder."""

import dataclasses

from bench.cost.schema import Drift, EncoderLedger, EncoderRow, HeadLedger, HeadRow
from bench.report import ledgers
from bench.report.table import Table

CONTENDER_SIZES = (1000, 10_000, 100_000, 1_000_000)


def span(middle: float) -> list[float]:
    """Return p20, median and p80."""
    return [middle * 0.97, middle, middle * 1.04]


def ledger_row(contender: str, size: int, **fields: object) -> HeadRow:
    """Return a head's row: training time grows with V for full and adaptive softmax, decoding time for every head."""
    grows = size / 1000
    step = {"softmax": 1 + grows, "adaptive_softmax": 4 + 0.5 * grows**0.5}.get(contender, 2.0)
    width = {"cosine": 1.5}.get(contender, 1.0)
    figures = {
        "step_ms": span(step),
        "adam_ms": span(1.0),
        "decode_1_ms": span(0.1 + width * grows / 10),
        "decode_256_ms": span(1 + width * grows),
        "peak_mib": 8.0,
        "weights_mib": grows,
        "adam_mib": 2 * grows,
        "peak_share": 0.5,
        "reads_targets": contender == "cosine",
    }
    return HeadRow(**({"contender": contender, "part": "head", "vocabulary_size": size} | figures | fields))


def head_ledger(size: int, rows: list[HeadRow], **fields: object) -> HeadLedger:
    """Return the ledger of one V."""
    settings = {
        "experiment": "cost_sweep", "vocabulary_size": size, "positions": 1000, "hidden_size": 256, "target_size": 384,
        "device": "cpu", "precision": "fp32", "threads": 2, "rounds": 20, "peak_gflops": span(100.0), "rows": rows,
        "config": {}, "versions": {"torch": "2.13.0"}, "git_commit": "0123456789abcdef",
        "finished_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return HeadLedger(**settings | fields)


def encoder_ledger(**fields: object) -> EncoderLedger:
    """Return an encoder ledger: causal reads 10 words per ms, prefix 0.5.

    The break-even uses the wider window, and neither contexts that read future words nor other libraries.
    """
    rows = [
        EncoderRow(contender=name, context=name.split()[-1], window=window, words_per_second=span(speed), peak_mib=9.0)
        for name, window, speed in (
            ("causal", 128, 1e4), ("causal", 32, 2e4), ("bidirectional", 32, 3e4), ("prefix", 32, 500.0),
            ("peer:plain causal", 128, 8e3), ("peer:equal prefix", 32, 400.0),
        )
    ]  # fmt: skip
    figures = {"cosine_to_fp32": 0.99995, "least_cosine_to_fp32": 0.9991, "times_peer": span(0.8)}
    rows[0] = dataclasses.replace(rows[0], **figures)
    drift = [
        Drift(vectors="causal", cosine=0.836, own_nearest=0.98, cosine_within=0.944, own_nearest_within=0.994),
        Drift(vectors="prefix of another place", cosine=0.04, cosine_within=0.05),
    ]
    settings = {
        "experiment": "cost_sweep", "device": "cpu", "precision": "fp32", "threads": 2, "rounds": 5, "rows": rows,
        "config": {}, "versions": {"torch": "2.13.0"}, "git_commit": None, "finished_at": "2026-01-01T00:00:00+00:00",
        "encoder": "bert", "weights_sha256": None, "corpus": "c", "words": 4096, "window": 32, "drift": drift,
    }  # fmt: skip
    return EncoderLedger(**settings | fields)


def unmeasured_row(contender: str, size: int, status: str, reason: str) -> HeadRow:
    """Return the row of a contender without any figure."""
    return HeadRow(contender=contender, part="head", vocabulary_size=size, status=status, reason=reason)


def sweep_ledgers() -> list[HeadLedger]:
    """Return a ledger per V; softmax is out of memory at the largest V, but still decodes.

    Of two other libraries one is not installed, and one does nothing but search.
    """
    by_size = []
    for size in CONTENDER_SIZES:
        rows = [ledger_row(name, size) for name in ("softmax", "adaptive_softmax", "sampled_softmax", "cosine")]
        hnsw = {"index": "hnsw", "build_s": 1.5, "recall_at_1": 0.98, "recall_at_10": 0.95}
        hnsw |= {"decode_1_ms": span(0.05), "decode_256_ms": span(5.0)}
        broken = dict.fromkeys(hnsw) | {"index": "ivf", "reason": "too few vectors"}
        rows[3] = dataclasses.replace(rows[3], approximate=[hnsw, broken])
        if size == CONTENDER_SIZES[-1]:
            unmeasured = {"step_ms": None, "adam_ms": None, "peak_mib": None}
            rows[0] = dataclasses.replace(rows[0], status="oom", reason="step: 4 GiB asked", **unmeasured)
        rows.append(unmeasured_row("peer:liger", size, "missing", "needs a GPU"))
        searcher = {"step_ms": None, "adam_ms": None, "peak_mib": None, "adam_mib": None, "peak_share": None}
        rows.append(ledger_row("peer:faiss flat", size, **searcher))
        by_size.append(head_ledger(size, rows))
    return by_size


def value_texts(table: Table, column: str) -> dict[str, str]:
    """Return the texts of one column by label."""
    return {row.label: str(row.values[column]) for row in table.rows}


def titled(section: ledgers.Section, title: str) -> Table:
    """Return the table of a section that has this title."""
    return next(table for table in (*section.summary, *section.sizes) if table.title == title)
