"""Section about encoder ledgers."""

from factories.ledgers import encoder_ledger, sweep_ledgers, value_texts

from bench.cost.schema import EncoderRow
from bench.report import encoder_report


def test_encoder_section_shows_the_last_ledger_of_a_setting():
    old = encoder_ledger(finished_at="2025-01-01T00:00:00+00:00", rows=[])
    (only,) = encoder_report.sections([old, *sweep_ledgers(), encoder_ledger()])
    assert only.facts == "bert · 4,096 words of c · fp32 · cpu, 2 threads"
    assert only.headline == [
        "A word takes 40 times as long by prefix as by causal, windows of 32.",
        "The mean cosine of a causal vector to the exact vector is 0.84, 0.94 where both read the same words.",
    ]
    speed, drift = only.summary
    assert value_texts(speed, "times_peer") == {
        "causal, windows of 128": "0.800 [0.776, 0.832]", "causal, windows of 32": "–",
        "bidirectional, windows of 32": "–", "prefix, windows of 32": "–",
        "plain causal, causal, windows of 128": "–", "equal prefix, prefix, windows of 32": "–",
    }  # fmt: skip
    assert [row.kind for row in speed.rows] == [""] * 4 + ["other library"] * 2
    assert value_texts(speed, "words_per_second")["prefix, windows of 32"] == "500 [485, 520]"
    assert value_texts(speed, "cosine_to_fp32")["causal, windows of 128"] == "0.999950"
    assert value_texts(drift, "own_nearest_within") == {"causal": "99.4", "prefix of another place": "–"}
    assert value_texts(drift, "cosine") == {"causal": "0.836", "prefix of another place": "0.0400"}
    assert "experiment=context" in drift.caption


def test_encoder_row_gives_the_reason_when_it_failed():
    lost = EncoderRow(contender="prefix", context="prefix", window=32, status="oom", reason="4 GiB asked")
    (only,) = encoder_report.sections([encoder_ledger(rows=[*encoder_ledger().rows[:1], lost], drift=[])])
    (speed,) = only.summary
    assert speed.failures == [] and speed.rows[1].failures == ["× oom: 4 GiB asked"]
    assert speed.rows[1].label == "× prefix, windows of 32"
