"""Metric registry: one entry adds a metric to the record, the intervals, the leaderboard and the glossary."""

import dataclasses

import numpy as np
import pytest

from bench.core.record import Record
from bench.data.corpus import build_corpus
from bench.data.text import concatenate
from bench.data.vocabulary import Vocabulary
from bench.evaluation.intervals import BlockSums, interval
from bench.evaluation.metric_definition import Metric, Ratio
from bench.evaluation.metrics import METRICS
from bench.evaluation.quality import RECORD_FIELDS, quality
from bench.evaluation.score import ScoredText
from bench.report import leaderboard, run_table
from bench.report.glossary import every_column

TOY = Metric(
    "dear_share", "dear %", "lower", "%", "share of words that cost more than 2 nats", "Toy.", scale=100,
    sums={"dear": lambda at: at.nats > 2}, formula=Ratio("dear", "words"), place="headline",
)  # fmt: skip


def test_toy_metric_needs_one_entry(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(METRICS, TOY.name, TOY)
    corpus = build_corpus("letters", {"train": [["a"] * 4 + ["b"] * 2 + ["c"]], "validation": [["a"]], "test": [["a"]]})
    test = concatenate([np.zeros(4, int)] * 8)
    words = len(test)
    nats = np.where(np.arange(words) % 4 == 0, 3.0, 1.0).astype(np.float32)
    scored = ScoredText(
        document=np.repeat(np.arange(8), 4).astype(np.int32), word=np.ones(words, np.int32), nats=nats, raw_nats=nats,
        rank=np.ones(words, np.float32), calibrated_rank=np.ones(words, np.float32),
    )  # fmt: skip
    fields = quality(scored, Vocabulary(corpus, 2), test, search_words=4)
    assert fields["blocks"]["dear"] == [1.0] * 8
    assert fields.keys() <= RECORD_FIELDS
    record = Record(
        experiment="e", system="softmax", head=None, backbone="lstm", corpus="c", vocabulary_size=2, seed=0, **fields
    )
    assert interval(TOY.name, BlockSums.from_seeds([record.blocks])) == pytest.approx((0.25, 0.25))
    runs = run_table.runs([record, dataclasses.replace(record, seed=1)])
    (row,) = leaderboard.rows(run_table.cells(runs))
    assert str(row.values[TOY.name]) == "25.0 [25.00, 25.00]"
    assert TOY in every_column()
