"""Section of generated text: figures beside those of real text, hostile text escaped."""

from factories.records import partial_record
from factories.reports import written_report

from bench.report import run_table
from bench.report.generation_texts import HEADINGS, REAL, generation_section

FIGURES = dict.fromkeys((each.field for each in HEADINGS), 0.5) | {"frechet_low": 0.4, "frechet_high": 0.6}


def record(system: str, greedy: str, **changes: float | None):
    text = {"prompt": "the king", "real": "said to him", "greedy": greedy, "sampled": "a man"}
    quality = {"prompts": 64, "prompt_words": 16, "words": 64, "texts": [text]}
    quality |= dict.fromkeys(("real", "greedy", "sampled"), FIGURES | changes)
    return partial_record(system=system, bits_per_byte=2.0, generation_quality=quality)


def section_of(*records):
    runs = run_table.runs(list(records))
    return generation_section(runs, run_table.cells(runs))


def test_records_without_the_field_give_no_section():
    assert section_of(partial_record(bits_per_byte=2.0)) is None


def test_table_has_real_text_first_and_both_ways_of_each_system():
    section = section_of(record("softmax", "of the"), record("mse", "the the", copied_8=None))
    assert [(label, way) for label, way, _ in section["rows"]] == [
        (REAL, ""),
        ("mse", "greedy"),
        ("mse", "sampled"),
        ("softmax", "greedy"),
        ("softmax", "sampled"),
    ]
    by_name = dict(zip((each.field for each in HEADINGS), section["rows"][1][2], strict=True))
    assert by_name["judge_perplexity"] == "0.500"
    assert by_name["distinct_1"] == "50.0"
    assert by_name["copied_8"] == "–"
    assert by_name["frechet"] == "0.500 [0.40, 0.60]"
    ((prompt, real, texts),) = section["texts"]
    assert (prompt, real) == ("the king", "said to him")
    assert [text["greedy"] for text in texts] == ["the the", "of the"]


def test_perplexities_of_another_judge_are_left_out_and_the_judge_is_named(tmp_path):
    records = [record("softmax", "of the"), record("mse", "the the"), record("ngram", "a a")]
    for each, judge in zip(records, ("one", "two", None), strict=True):
        each.generation_quality["causal_judge"] = judge
    section = section_of(*records)
    at = [each.field for each in HEADINGS].index("causal_judge_perplexity")
    shown = {(label, way): values[at] for label, way, values in section["rows"]}
    kept = section["judge"]
    assert kept in ("one", "two") and shown[REAL, ""] == "0.500"
    judges = {"softmax": "one", "mse": "two", "ngram": None}
    assert {label: shown[label, "greedy"] for label in judges} == {
        label: "0.500" if judge == kept else "–" for label, judge in judges.items()
    }
    assert f"LM: {kept}." in written_report(records, tmp_path)[1]


def test_distance_that_was_not_measured_is_a_dash():
    section = section_of(record("softmax", "of the", frechet=None))
    assert section["rows"][1][2][-1] == "–"


def test_section_is_on_the_page_and_its_text_is_escaped(tmp_path):
    _, html = written_report([record("softmax", "<script>alert(1)</script>")], tmp_path)
    assert "Quality of generated text, V = 1,000" in html
    assert "said to him" in html
    assert "&lt;script&gt;" in html and "<script>" not in html.split('<script type="module">')[0]
