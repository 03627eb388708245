"""The report from synthetic records: exact table values, and nothing in the page that could run or load."""

import dataclasses
import re
import subprocess
import sys
from html.parser import HTMLParser
from math import nan
from pathlib import Path

import numpy as np
import pytest

from bench.errors import SettingError
from bench.record import Record, write
from bench.report import figures, leaderboard, page, report, save, table

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


def synthetic(system: str, size: int, seed: int, random: np.random.Generator) -> Record:
    """One plausible record."""
    bits, accuracy, head_ms, growth = SYSTEMS[system]
    step = np.log10(size / 1000)
    noise = random.normal(0, 0.008, 4)
    bits, accuracy = bits - 0.12 * step + noise[0], accuracy + 0.01 * step + noise[1] / 4
    nats = bits * 0.69 * 5.6
    trained = system not in table.FLOORS
    regressor = system in ("mse", "cosine")
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
            "system": {"name": system},
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


def sweep() -> list[Record]:
    """Every system at every size with two seeds; of adaptive softmax at the largest V only one ended well."""
    random = np.random.default_rng(0)
    records = [synthetic(s, size, seed, random) for s in SYSTEMS for size in SIZES for seed in (0, 1)]
    lost = next(i for i, r in enumerate(records) if (r.system, r.vocabulary_size) == ("adaptive_softmax", 20000))
    unmeasured = dict.fromkeys(table.NUMBERS) | {"accuracy_by_decile": None, "curve": [], "generations": []}
    reason = "no memory for 20,000 logits"
    records[lost] = dataclasses.replace(records[lost], status="oom", reason=reason, is_density=None, **unmeasured)
    return records


def write_all(records: list[Record], folder: Path) -> None:
    for record in records:
        write(record, folder / f"{record.system}-v{record.vocabulary_size}-s{record.seed}-{id(record):x}")


def plain(**fields: object) -> Record:
    """A record of one system in which only the given fields were measured."""
    cell = {
        "experiment": "e",
        "system": "softmax",
        "head": None,
        "backbone": "lstm",
        "corpus": "c",
        "seed": 0,
    }
    return Record(**cell | {"vocabulary_size": 1000} | fields)


def written(records: list[Record], out: Path) -> tuple[str, str]:
    """The leaderboard and the page of a few records, without figures."""
    runs = table.runs(records)
    cells = table.cells(runs)
    leaderboard.write(runs, cells, out / "leaderboard.md")
    page.write(runs, cells, {corpus: {} for corpus in runs.corpus}, out / "index.html")
    return (out / "leaderboard.md").read_text(), (out / "index.html").read_text()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the synthetic sweep, with a generation that tries to run in the reader's browser."""
    out = tmp_path_factory.mktemp("sweep")
    first, *others = sweep()
    hostile = [{"prompt": "<b>p</b>", "greedy": "<script>alert(1)</script>", "sampled": '"><img src=//evil.test>'}]
    write_all([dataclasses.replace(first, generations=hostile, vocabulary_size=20000, seed=-1), first, *others], out)
    report([out], out)
    return out


def test_mean_and_standard_error_over_seeds():
    records = [plain(seed=seed, bits_per_byte=bits) for seed, bits in enumerate((2.0, 2.2, 2.7))]
    (cell,) = table.cells(table.runs(records)).to_dict("records")
    assert cell["seeds"] == 3
    assert cell["bits_per_byte"] == pytest.approx(2.3, abs=1e-12)
    assert cell["bits_per_byte_se"] == pytest.approx((0.13 / 3) ** 0.5, abs=1e-12)  # variance (.09 + .01 + .16) / 2


def test_accuracy_by_decile_is_averaged_tenth_by_tenth():
    records = [plain(seed=seed, accuracy_by_decile=[first, 0.2]) for seed, first in enumerate((0.1, 0.3))]
    (cell,) = table.cells(table.runs(records)).to_dict("records")
    assert cell["accuracy_by_decile"] == pytest.approx([0.2, 0.2])
    assert cell["accuracy_by_decile_se"] == pytest.approx([0.1, 0.0])


def test_cells_that_differ_in_a_setting_are_not_averaged():
    configs = [{"inputs": inputs, "trainer": {"seed": seed}} for inputs in ("learned", "contextual") for seed in (0, 1)]
    records = [plain(seed=c["trainer"]["seed"], bits_per_byte=2.0, config=c) for c in configs]
    cells = table.cells(table.runs(records))
    assert list(cells.label) == ["softmax (inputs=contextual)", "softmax (inputs=learned)"]
    assert list(cells.seeds) == [2, 2]


def test_the_shortest_of_settings_that_vary_together_names_the_variant():
    configs = [{"targets": {"context": c}, "system": {"head": {"context": c}}} for c in ("prefix", "causal")]
    runs = table.runs([plain(config=config) for config in configs])
    assert list(runs.label) == ["softmax (targets.context=prefix)", "softmax (targets.context=causal)"]


def test_settings_that_change_no_figure_make_no_variant():
    configs = [
        {"results_dir": "a", "vocabulary": {"size": 1000}},
        {"results_dir": "b", "vocabulary": {"size": 5000}},
    ]
    records = [plain(config=c, vocabulary_size=c["vocabulary"]["size"]) for c in configs]
    assert list(table.runs(records).label) == ["softmax", "softmax"]


def test_backbones_and_devices_make_variants():
    records = [plain(backbone="gru", device="cpu"), plain(device="cpu"), plain(device="cuda")]
    assert list(table.runs(records).label) == [
        "softmax (device=cpu, backbone=gru)",
        "softmax (device=cpu, backbone=lstm)",
        "softmax (device=cuda, backbone=lstm)",
    ]


def test_a_failed_seed_leaves_the_mean_to_the_others():
    records = [plain(bits_per_byte=2.0), plain(seed=1, status="oom", reason="no memory", bits_per_byte=9.0)]
    (cell,) = table.cells(table.runs(records)).to_dict("records")
    assert (cell["bits_per_byte"], cell["seeds"], cell["failures"]) == (2.0, 1, ["seed 1 oom: no memory"])


def test_a_cell_in_two_folders_counts_once(tmp_path: Path):
    for folder, bits, day in (("a", 2.0, 2), ("b", 3.0, 1)):
        write(plain(bits_per_byte=bits, finished_at=f"2026-01-0{day}"), tmp_path / folder / "same")
    assert list(table.load([tmp_path / "b", tmp_path / "a"]).bits_per_byte) == [2.0]


def test_curve_averages_the_validations_that_every_seed_reached():
    curves = [
        [{"words": 10, "validation_nats": 6.0}, {"words": 20, "validation_nats": 5.0}],
        [{"words": 10, "validation_nats": 8.0}],
    ]
    mean = table.curve(table.runs([plain(seed=seed, curve=curve) for seed, curve in enumerate(curves)]))
    assert mean.validation_nats.tolist() == [7.0]
    assert mean.validation_nats_se.tolist() == [1.0]


def test_pareto_front_on_points_by_hand():
    costs, losses = np.array([1, 2, 2, 3, 4, 1]), np.array([5, 3, 4, 3, 1, 5])
    assert table.pareto(costs, losses).tolist() == [True, True, False, False, True, True]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (nan, nan, "–"),
        (0.0, nan, "0.00"),
        (2.3456, nan, "2.35"),
        (9.996, nan, "10.0"),
        (123456.0, nan, "123,000"),
        (0.00123456, nan, "0.00123"),
        (2.3456, 0.0312, "2.35 ± 0.03"),
        (2.3456, 0.31, "2.3 ± 0.3"),
        (2.3456, 0.0004, "2.35 ± 0.0004"),
        (1234.0, 56.0, "1,230 ± 60"),
        (4.0, 0.0, "4.00"),
    ],
)
def test_numbers_are_no_more_precise_than_their_error(value: float, error: float, text: str):
    assert table.shown(value, error) == text


def test_best_trained_system_leads_but_no_floor_and_no_proxy():
    records = [
        plain(system="softmax", bits_per_byte=2.0, raw_closed_perplexity=50.0, is_density=True),
        plain(system="mse", bits_per_byte=2.5, raw_closed_perplexity=40.0, is_density=False),
        plain(system="unigram", bits_per_byte=1.0, raw_closed_perplexity=30.0, is_density=True),
    ]
    rows = leaderboard.rows(table.cells(table.runs(records)))
    assert [row.label for row in rows] == ["softmax", "mse", "unigram"]  # the floor last, whatever it reads
    fields = [column.field for column in leaderboard.COLUMNS]
    assert [row.leads[fields.index("bits_per_byte")] for row in rows] == [True, False, False]
    raw = fields.index("raw_closed_perplexity")
    assert [(row.texts[raw], row.leads[raw]) for row in rows] == [
        ("50.0", True),
        ("40.0 proxy", False),
        ("30.0", False),
    ]


def test_every_column_is_a_field_that_the_table_has():
    cells = table.cells(table.runs(sweep()))
    assert {column.field for column in leaderboard.COLUMNS} <= set(cells.columns)
    assert all(column.better in leaderboard.ARROW and column.meaning.endswith(".") for column in leaderboard.COLUMNS)


def test_leaderboard_shows_mean_and_error_of_a_cell(swept: Path):
    runs = table.load([swept])
    bits = runs[(runs.label == "mse") & (runs.vocabulary_size == 5000)].bits_per_byte
    text = table.shown(bits.mean(), bits.std(ddof=1) / 2**0.5, digits=4)
    section = (swept / "leaderboard.md").read_text().split("V = 5,000\n")[1].split("\n## ")[0]
    (row,) = [line for line in section.splitlines() if line.startswith("| mse ")]
    assert row.split(" | ")[1] == text
    assert "*unigram* (floor)" in section


def test_missing_values_are_dashes_and_one_seed_has_no_error(tmp_path: Path):
    markdown, html = written([plain(bits_per_byte=2.0)], tmp_path)
    (row,) = [line for line in markdown.splitlines() if line.startswith("| softmax")]
    assert row == "| softmax | **2.000** | " + "– | " * 17 + "1 |"
    assert html.count("<td>–</td>") == 17
    for text in (markdown, html):
        assert "±" not in text
        assert "one seed: no standard error" in text


def test_a_cell_without_a_good_run_is_a_cross_and_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_all([plain(status="oom", reason="no | memory")], tmp_path)
    report([tmp_path], tmp_path)
    row = "| × softmax | " + "– | " * 18 + r"0 × seed 0 oom: no \| memory |"
    assert row in (tmp_path / "leaderboard.md").read_text()
    assert "× seed 0 oom: no | memory" in (tmp_path / "index.html").read_text()
    assert "× seed 0 oom: no | memory" in capsys.readouterr().out


def test_generated_text_is_escaped(swept: Path):
    html = (swept / "index.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html
    assert "<b>p</b>" not in html
    assert "<img" not in html


class Tags(HTMLParser):
    """What a browser would see: every tag, and every attribute's name and value."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)


def test_page_loads_nothing(swept: Path):
    html = (swept / "index.html").read_text()
    page_tags = Tags(html)
    assert not page_tags.tags & {
        "script",
        "link",
        "img",
        "image",
        "iframe",
        "object",
        "embed",
        "video",
        "audio",
    }
    names = {name for name, _ in page_tags.attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "srcset", "data", "action"}
    assert {value[:1] for name, value in page_tags.attributes if name.endswith("href")} == {"#"}
    assert {link[:1] for link in re.findall(r"url\(([^)]*)", html)} == {"#"}
    assert "@import" not in html


def test_figures_in_the_page_share_no_id(swept: Path):
    ids = re.findall(r' id="([^"]*)"', (swept / "index.html").read_text())
    assert len(ids) == len(set(ids)) > 100


def test_every_figure_is_written_twice(swept: Path):
    names = {function.__name__ for function in figures.FIGURES}
    assert {path.name for path in (swept / "figures").iterdir()} == {
        f"{n}.{kind}" for n in names for kind in ("svg", "png")
    }


def test_floors_alone_have_a_quality_and_no_cost():
    runs = table.runs([plain(system="unigram", bits_per_byte=3.0)])
    assert list(figures.draw(runs, table.cells(runs))) == ["quality_vs_vocabulary"]


def test_same_records_give_the_same_bytes(tmp_path: Path):
    runs = table.runs(sweep()[:2])
    for name in ("once", "twice"):
        save(figures.quality_vs_vocabulary(runs, table.cells(runs)), tmp_path / f"{name}.svg")
    for kind in ("svg", "png"):
        assert (tmp_path / f"once.{kind}").read_bytes() == (tmp_path / f"twice.{kind}").read_bytes()


def test_headline_is_computed_from_the_cells():
    records = [
        plain(system="softmax", bits_per_byte=2.0, accuracy_at_1=0.2, head_train_ms_per_1k=4.0),
        plain(system="mse", bits_per_byte=2.25, accuracy_at_1=0.15, head_train_ms_per_1k=1.0),
    ]
    cells = table.cells(table.runs(records))
    assert list(page.headline(cells)) == [
        "softmax needs the fewest bits per byte at V = 1,000: 2.00.",
        "MSE regression against softmax at V = 1,000: +0.25 bits per byte, −5.0 points of raw accuracy@1 "
        "and 0.25 times the time to train the head (V = 1,000).",
    ]
    assert list(page.headline(cells[cells.system == "mse"])) == [
        "mse needs the fewest bits per byte at V = 1,000: 2.25."
    ]


def test_two_corpora_get_tables_of_their_own(tmp_path: Path):
    markdown, html = written([plain(corpus=corpus, bits_per_byte=2.0) for corpus in ("wiki_sample", "kjv")], tmp_path)
    assert re.findall(r"^## (.*), V", markdown, re.MULTILINE) == ["kjv", "wiki_sample"]
    assert re.findall(r"<h2>Corpus: (.*)</h2>", html) == ["kjv", "wiki_sample"]


def test_unknown_systems_get_colours_of_their_own():
    systems = [*SYSTEMS, "vmf", "their_head"]
    look = figures.looks(table.cells(table.runs([plain(system=system) for system in systems])))
    trained = [look[system]["color"] for system in systems if system not in table.FLOORS]
    assert len(set(trained)) == len(trained)


def test_what_was_never_trained_has_no_place_in_a_figure_of_training_cost():
    runs = table.runs([plain(system="truth", bits_per_byte=1.0)])
    assert figures.quality_vs_cost(runs, table.cells(runs)) is None


def test_no_records_is_one_line(tmp_path: Path):
    with pytest.raises(SettingError, match=r"^folders: no records below .*; run a sweep first"):
        report([tmp_path], tmp_path)
    run = subprocess.run([sys.executable, "-m", "bench.report", tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("folders: no records below")
    assert run.stderr.count("\n") == 1


def test_a_caption_says_where_fewer_words_were_ranked(tmp_path: Path):
    records = [plain(bits_per_byte=2.0, test_words=900, ranked_words=900)]
    records.append(plain(system="gpt2-scratch", bits_per_byte=2.1, test_words=900, ranked_words=50))
    markdown, _ = written(records, tmp_path)
    assert "900 test words · gpt2-scratch ranked on 50 of them" in markdown
    assert "softmax ranked" not in markdown


def test_seeds_that_agree_have_no_error_though_floats_round():
    assert table.shown(223.0, 2e-14) == "223"
    assert table.shown(223.0, 2.0) == "223 ± 2"
