"""The report from synthetic records: exact table values, and nothing in the page that could run or load."""

import dataclasses
import itertools
import re
import subprocess
import sys
from math import nan
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from factories.records import KINDS, SIZES, SYSTEMS, Tags, sweep, write_all
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from bench.core.errors import SettingError
from bench.core.record import Record, write_record
from bench.evaluation.metric_definition import ARROW
from bench.evaluation.metric_registry import measured_metrics
from bench.report import (
    glossary,
    leaderboard,
    number_format,
    page,
    plots,
    report,
    run_table,
    save,
    significance,
    terminal,
)
from bench.report.glossary import every_column
from bench.report.plot_style import PUBLISHED, WIDTH, line_styles


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
    kind = KINDS.get(str(fields.get("system", "softmax")), "classifier")
    return Record(**cell | {"vocabulary_size": 1000, "config": {"system": {"kind": kind}}} | fields)


def written(records: list[Record], out: Path) -> tuple[str, str]:
    """The leaderboard and the page of a few records, without figures."""
    runs = run_table.runs(records)
    cells = run_table.cells(runs)
    tables = [*leaderboard.leaderboards(runs, cells)]
    leaderboard.write(tables, out / "leaderboard.md")
    page.write(runs, cells, tables, {(run.corpus, run.budget): {} for run in runs.itertuples()}, out / "index.html")
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
    (cell,) = run_table.cells(run_table.runs(records)).to_dict("records")
    assert cell["seeds"] == 3
    assert cell["bits_per_byte"] == pytest.approx(2.3, abs=1e-12)
    assert cell["bits_per_byte_se"] == pytest.approx((0.13 / 3) ** 0.5, abs=1e-12)  # variance (.09 + .01 + .16) / 2


def test_accuracy_by_decile_is_averaged_tenth_by_tenth():
    records = [plain(seed=seed, accuracy_by_decile=[first, 0.2]) for seed, first in enumerate((0.1, 0.3))]
    (cell,) = run_table.cells(run_table.runs(records)).to_dict("records")
    assert cell["accuracy_by_decile"] == pytest.approx([0.2, 0.2])
    assert cell["accuracy_by_decile_se"] == pytest.approx([0.1, 0.0])


def test_cells_that_differ_in_a_setting_are_not_averaged():
    configs = [{"inputs": inputs, "seed": seed} for inputs in ("learned", "contextual") for seed in (0, 1)]
    records = [plain(seed=c["seed"], bits_per_byte=2.0, config=c) for c in configs]
    cells = run_table.cells(run_table.runs(records))
    assert list(cells.label) == ["softmax, contextual inputs", "softmax, learned inputs"]
    assert list(cells.seeds) == [2, 2]


def test_only_the_runs_own_seed_is_averaged_over():
    configs = [{"targets": {"seed": drawn}, "seed": seed} for drawn in (0, 1) for seed in (0, 1)]
    cells = run_table.cells(run_table.runs([plain(seed=c["seed"], config=c) for c in configs]))
    assert list(cells.label) == ["softmax, targets seed 0", "softmax, targets seed 1"]
    assert list(cells.seeds) == [2, 2]


def test_the_shortest_of_settings_that_vary_together_names_the_variant():
    configs = [{"targets": {"context": c}, "system": {"head": {"context": c}}} for c in ("prefix", "causal")]
    runs = run_table.runs([plain(config=config) for config in configs])
    assert list(runs.label) == ["softmax, prefix vectors", "softmax, causal vectors"]


def test_settings_that_change_no_figure_make_no_variant():
    configs = [
        {"results_dir": "a", "vocabulary": {"size": 1000}},
        {"results_dir": "b", "vocabulary": {"size": 5000}},
    ]
    records = [plain(config=c, vocabulary_size=c["vocabulary"]["size"]) for c in configs]
    assert list(run_table.runs(records).label) == ["softmax", "softmax"]


def test_backbones_and_devices_make_variants():
    records = [plain(backbone="gru", device="cpu"), plain(device="cpu"), plain(device="cuda")]
    assert list(run_table.runs(records).label) == [
        "softmax, cpu, gru",
        "softmax, cpu, lstm",
        "softmax, cuda",
    ]


def test_a_failed_seed_leaves_the_mean_to_the_others():
    records = [plain(bits_per_byte=2.0), plain(seed=1, status="oom", reason="no memory", bits_per_byte=9.0)]
    (cell,) = run_table.cells(run_table.runs(records)).to_dict("records")
    assert (cell["bits_per_byte"], cell["seeds"], cell["failures"]) == (2.0, 1, ["seed 1 oom: no memory"])


def test_a_cell_in_two_folders_counts_once(tmp_path: Path):
    for folder, bits, day in (("a", 2.0, 2), ("b", 3.0, 1)):
        write_record(plain(bits_per_byte=bits, finished_at=f"2026-01-0{day}"), tmp_path / folder / "same")
    assert list(run_table.load([tmp_path / "b", tmp_path / "a"]).bits_per_byte) == [2.0]


def test_curve_averages_the_validations_that_every_seed_reached():
    curves = [
        [{"words": 10, "validation_nats": 6.0}, {"words": 20, "validation_nats": 5.0}],
        [{"words": 10, "validation_nats": 8.0}],
    ]
    mean = run_table.curve(run_table.runs([plain(seed=seed, curve=curve) for seed, curve in enumerate(curves)]))
    assert mean.validation_nats.tolist() == [7.0]
    assert mean.validation_nats_se.tolist() == [1.0]


def test_pareto_front_on_points_by_hand():
    costs, losses = np.array([1, 2, 2, 3, 4, 1]), np.array([5, 3, 4, 3, 1, 5])
    assert run_table.pareto(costs, losses).tolist() == [True, True, False, False, True, True]


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
    assert number_format.mean_and_error(value, error) == text


def test_best_trained_system_leads_but_no_floor_no_limit_and_no_proxy():
    records = [
        plain(system="softmax", bits_per_byte=2.0, raw_closed_perplexity=50.0, is_density=True),
        plain(system="mse", bits_per_byte=2.5, raw_closed_perplexity=40.0, is_density=False),
        plain(system="unigram", bits_per_byte=1.0, raw_closed_perplexity=30.0, is_density=True),
        plain(system="truth", bits_per_byte=0.5, raw_closed_perplexity=20.0, is_density=True),
    ]
    rows = leaderboard.rows(run_table.cells(run_table.runs(records)))
    assert [row.title for row in rows] == ["softmax", "mse", "truth (limit)", "unigram (floor)"]
    assert [row.values["bits_per_byte"].leads for row in rows] == [True, False, False, False]
    raw = [row.values["raw_closed_perplexity"] for row in rows]
    assert [(str(figure), figure.leads) for figure in raw] == [
        ("50.0", True),
        ("40.0 proxy", False),
        ("20.0", False),
        ("30.0", False),
    ]


def test_every_entry_is_a_field_that_the_table_or_a_formula_has():
    cells = run_table.cells(run_table.runs(sweep()))
    every = every_column()
    assert {column.name for column in every} <= {*cells.columns}
    assert measured_metrics().keys() <= {column.name for column in every}
    assert all(column.direction in ARROW and column.meaning.endswith(".") for column in every)
    assert len({column.heading for column in every}) == len(every)


def rows_of(text: str, system: str) -> list[list[str]]:
    """The cells of one system's rows in a Markdown text."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(f"| {system} ")]


def test_leaderboard_shows_mean_and_error_of_a_cell(swept: Path):
    runs = run_table.load([swept])
    bits = runs[(runs.label == "mse") & (runs.vocabulary_size == 5000)].bits_per_byte
    text = number_format.mean_and_error(bits.mean(), bits.std(ddof=1) / 2**0.5, digits=4)
    section = (swept / "leaderboard.md").read_text().split("V = 5,000\n")[1].split("\n## ")[0]
    quality, *_, cost = rows_of(section, "mse")
    assert quality[1] == text
    assert cost[-1] == quality[-1] == "2"
    assert "*unigram* (floor)" in section


def test_missing_values_are_dashes_and_one_seed_has_no_error(tmp_path: Path):
    records = [plain(bits_per_byte=2.0), plain(system="mse", bits_per_byte=2.5, train_seconds=9.0)]
    markdown, html = written(records, tmp_path)
    assert rows_of(markdown, "softmax") == [["softmax", "**2.000**", "1"], ["softmax", "–", "1"]]
    assert rows_of(markdown, "mse") == [["mse", "2.500", "1"], ["mse", "**9.00**", "1"]]
    assert html.count("<td>–</td>") == 1
    for text in (markdown, html):
        assert "±" not in text.split("## What")[0].split("Definitions of")[0]
        assert "†" not in text
        assert "one seed: no standard error" in text


def test_a_column_that_nobody_was_measured_on_is_left_out(tmp_path: Path):
    markdown, _ = written([plain(bits_per_byte=2.0, brier=0.1), plain(system="mse", bits_per_byte=2.5)], tmp_path)
    heads = [line for line in markdown.splitlines() if line.startswith("| system")]
    assert heads[0] == "| system | bits per byte ↓ | Brier ↑ | seeds |"
    assert len(heads) == 1  # no cost was measured


def test_a_cell_without_a_good_run_is_a_cross_and_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_all([plain(status="oom", reason="no | memory")], tmp_path)
    report([tmp_path], tmp_path)
    row = "| × softmax | " + "– | " * len(glossary.quality("headline")) + r"0 × seed 0 oom: no \| memory |"
    assert row in (tmp_path / "leaderboard.md").read_text()
    assert "× seed 0 oom: no | memory" in (tmp_path / "index.html").read_text()
    assert "× seed 0 oom: no | memory" in capsys.readouterr().out


def test_generated_text_is_escaped(swept: Path):
    html = (swept / "index.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html
    assert "<b>p</b>" not in html
    assert "<img" not in html


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


def test_figures_are_written_in_one_format(swept: Path, tmp_path: Path):
    names = {function.__name__ for function in plots.FIGURES} - {"quality_by_system", "cost_by_system"}  # of one V
    assert {path.name for path in (swept / "figures").iterdir()} == {f"{name}.svg" for name in names}
    write_all(sweep()[:1], tmp_path)
    report([tmp_path], tmp_path, "png")
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png"}
    assert "<svg" in (tmp_path / "index.html").read_text()


def test_sweep_of_one_size_has_a_row_per_system_sorted_by_bits_per_byte():
    runs = run_table.runs([record for record in sweep() if record.vocabulary_size == 1000])
    figures = plots.draw(runs, run_table.cells(runs))
    assert {"quality_by_system", "cost_by_system"} <= figures.keys()
    assert not {"quality_vs_vocabulary", "cost_vs_vocabulary"} & figures.keys()
    first, *_ = figures["quality_by_system"].axes
    bits = runs.groupby("label").bits_per_byte.mean().sort_values()
    assert [label.get_text() for label in first.get_yticklabels()] == list(bits.index)
    points = [line.get_xdata() for line in first.lines if len(line.get_xdata()) == 1 and line.get_marker() not in "|"]
    assert np.ravel(points) == pytest.approx(bits.to_numpy())
    first, *_ = figures["cost_by_system"].axes
    assert first.get_xlim()[0] == 0


def test_one_size_cell_without_a_good_run_is_a_cross():
    runs = run_table.runs([plain(bits_per_byte=2.0), plain(system="mse", status="oom", reason="no memory")])
    first, *_ = plots.draw(runs, run_table.cells(runs))["quality_by_system"].axes
    assert [text.get_text() for text in first.texts] == ["2.000", "×"]


def overlap(boxes: list[Bbox]) -> list[tuple[Bbox, Bbox]]:
    return [(a, b) for a, b in itertools.combinations(boxes, 2) if Bbox.intersection(a.padded(-1), b.padded(-1))]


@pytest.mark.parametrize("label", ["{}", "{} (targets.name=bert, targets.level=token)"])
@pytest.mark.parametrize("sizes", [SIZES, SIZES[:1]])
def test_texts_of_a_figure_neither_overlap_nor_leave_the_figure(sizes: tuple[int, ...], label: str):
    runs = run_table.runs([record for record in sweep() if record.vocabulary_size in sizes])
    cells = run_table.cells(runs)
    runs, cells = (frame.assign(label=frame.label.map(label.format)) for frame in (runs, cells))
    for name, figure in plots.draw(runs, cells).items():
        canvas = FigureCanvasAgg(figure)
        with matplotlib.rc_context(plots.STYLE):
            canvas.draw()
        axes = [axis for panel in figure.axes if panel.axison for axis in (panel.xaxis, panel.yaxis)]
        ticks = {axis: sorted(axis.get_view_interval()) for axis in axes}
        unseen = {
            tick.label1 for axis, (low, high) in ticks.items() for tick in axis.get_major_ticks()
            if not low <= tick.get_loc() <= high
        }  # fmt: skip
        texts = [text for text in figure.findobj(Text) if text.get_text() not in ("", "×") and text.get_visible()]
        texts = [text for text in texts if text not in unseen and (text.axes is None or text.axes.axison)]
        boxes = [text.get_window_extent() for text in texts]
        assert len(boxes) > 10
        assert overlap(boxes) == [], name
        width, height = canvas.get_width_height()
        assert min(box.x0 for box in boxes) >= 0 and min(box.y0 for box in boxes) >= 0, name
        assert max(box.x1 for box in boxes) <= width and max(box.y1 for box in boxes) <= height, name
        assert figure.get_figwidth() == WIDTH


def test_floors_alone_have_a_quality_and_no_cost():
    runs = run_table.runs([plain(system="unigram", bits_per_byte=3.0)])
    assert list(plots.draw(runs, run_table.cells(runs))) == ["quality_by_system"]


def test_same_records_give_the_same_bytes(tmp_path: Path):
    runs = run_table.runs(sweep()[:2])
    for name, kind in itertools.product(("once", "twice"), ("svg", "png")):
        save(plots.quality_vs_cost(runs, run_table.cells(runs)), tmp_path / f"{name}.{kind}")
    for kind in ("svg", "png"):
        assert (tmp_path / f"once.{kind}").read_bytes() == (tmp_path / f"twice.{kind}").read_bytes()


def test_headline_is_computed_from_the_cells():
    records = [
        plain(system="softmax", bits_per_byte=2.0, accuracy_at_1=0.2, head_train_ms_per_1k=4.0),
        plain(system="mse", bits_per_byte=2.25, accuracy_at_1=0.15, head_train_ms_per_1k=1.0),
    ]
    cells = run_table.cells(run_table.runs(records))
    assert list(page.headline(cells)) == [
        "softmax needs the fewest bits per byte at V = 1,000: 2.00.",
        "mse against softmax at V = 1,000: +0.25 bits per byte, −5.0 points of raw accuracy@1 "
        "and 0.25 times the time to train the head (V = 1,000).",
    ]
    assert list(page.headline(cells[cells.system == "mse"])) == [
        "mse needs the fewest bits per byte at V = 1,000: 2.25."
    ]


def test_two_corpora_get_tables_of_their_own(tmp_path: Path):
    markdown, html = written([plain(corpus=corpus, bits_per_byte=2.0) for corpus in ("wiki_sample", "kjv")], tmp_path)
    assert re.findall(r"^## (.*), V", markdown, re.MULTILINE) == ["kjv", "wiki_sample"]
    assert re.findall(r'<h2 class="group">Corpus: (.*)</h2>', html) == ["kjv", "wiki_sample"]


def test_unknown_systems_get_colours_and_markers_of_their_own():
    systems = list(dict.fromkeys([*SYSTEMS, *PUBLISHED, *(f"their_head_{i}" for i in range(30))]))
    styles = line_styles(run_table.cells(run_table.runs([plain(system=system) for system in systems])))
    trained = [styles[system] for system in systems if system not in KINDS]
    for key in ("color", "marker"):
        assert len({style[key] for style in trained}) == len(trained)


def test_variants_of_a_system_differ_in_line_and_fill_and_share_the_colour():
    configs = [{"inputs": inputs} for inputs in ("learned", "contextual")]
    styles = line_styles(run_table.cells(run_table.runs([plain(config=config) for config in configs]))).values()
    assert [len({str(style[key]) for style in styles}) for key in ("linestyle", "fillstyle", "color", "marker")] == [
        2, 2, 1, 1,
    ]  # fmt: skip


def test_untrained_system_is_left_out_of_the_figure_of_training_cost():
    runs = run_table.runs([plain(system="truth", bits_per_byte=1.0)])
    assert plots.quality_vs_cost(runs, run_table.cells(runs)) is None


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
    assert number_format.mean_and_error(223.0, 2e-14) == "223"
    assert number_format.mean_and_error(223.0, 2.0) == "223 ± 2"


HARD = np.array([0.1, -0.2, 0.3, 0.0, -0.1, 0.2, -0.3, 0.05])  # what makes a document hard for everybody


def blocks(bits: float, noise: float = 0.0) -> dict[str, list[float]]:
    """Eight documents of 100 words and 500 bytes at so many bits per byte; of the rest, 3 in 10 hit."""
    own = noise * np.array([1, -1, 1, -1, 1, -1, 1, -1])
    nats = (bits + HARD + own) * 500 * np.log(2)
    sums = {"words": np.full(8, 100.0), "bytes": np.full(8, 500.0), "nats": nats, "ranked": np.full(8, 100.0)}
    return {name: each.tolist() for name, each in sums.items()} | {"hits_at_1": [30.0 + i for i in range(8)]}


def blocked(system: str, bits: float, noise: float = 0.0, **fields: object) -> Record:
    bits += float(HARD.mean())
    found = {"bits_per_byte": bits, "accuracy_at_1": 0.335, "word_perplexity": 2 ** (bits * 5)}
    return plain(system=system, blocks=blocks(bits - float(HARD.mean()), noise), **found | fields)


def test_intervals_and_paired_differences_stand_beside_the_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    records = [blocked("softmax", 2.0), blocked("mse", 2.1, 0.02), blocked("cosine", 2.001, 0.02)]
    markdown, html = written([*records, plain(system="adaptive_softmax", bits_per_byte=3.0)], tmp_path)
    first, _, *_ = rows_of(markdown, "mse")
    assert first[1] == "2.106† [1.94, 2.28]"
    assert rows_of(markdown, "softmax")[0][1] == "**2.006 [1.84, 2.17]**"
    assert "†" not in rows_of(markdown, "cosine")[0][1]
    against = markdown.split("### Differences to softmax")[1].split("## What")[0]
    ((_, bits, accuracy, *_),) = rows_of(against, "mse")
    assert bits == "**+0.100 [+0.085, +0.115] p = .008**"
    assert accuracy == "0.00 [0.00, 0.00] p = 1.000"
    assert rows_of(against, "adaptive_softmax") == []  # no blocks, no interval
    assert rows_of(markdown, "adaptive_softmax")[0][1] == "3.000"
    assert html.count('<small class="under">[1.94, 2.28]</small>') == 1
    assert "† differs from softmax: the interval of the paired difference excludes 0" in html
    for record in records:
        write_record(record, tmp_path / record.system)
    report([tmp_path], tmp_path)
    out = capsys.readouterr().out
    assert "2.106†" in out and "[1.95" not in out


def test_headline_says_what_can_be_told():
    records = [blocked("softmax", 2.0), blocked("mse", 2.1, 0.02), blocked("cosine", 2.001, 0.02)]
    first, cosine, mse = page.headline(run_table.cells(run_table.runs(records)))
    assert first == (
        "softmax needs the fewest bits per byte at V = 1,000: 2.01; no clear difference to cosine at V = 1,000."
    )
    assert "+0.10 bits per byte (interval excludes 0)" in mse
    assert "+0.00 bits per byte (no clear difference)" in cosine
    ahead, *_ = page.headline(run_table.cells(run_table.runs(records[:2])))
    assert ahead.endswith(": 2.01; ahead of mse at V = 1,000, interval excludes 0.")


def test_headline_claims_nothing_that_another_seed_would_change():
    """The documents agree on the difference of the means; the seeds are too far apart to tell."""
    records = [blocked("softmax", bits, seed=seed) for seed, bits in enumerate((2.0, 2.1))]
    records += [blocked("mse", bits, seed=seed) for seed, bits in enumerate((2.05, 2.15))]
    cells = run_table.cells(run_table.runs(records))
    assert significance.difference(cells.iloc[1], cells.iloc[0], "bits_per_byte").excludes_zero
    first, mse = page.headline(cells)
    assert first.endswith("no clear difference to mse at V = 1,000.")
    assert "+0.05 bits per byte (no clear difference)" in mse


def test_a_difference_at_some_sizes_only_names_the_others():
    records = [
        blocked(system, bits, noise, vocabulary_size=size)
        for size, shift in ((1000, 0.1), (5000, 0.001))
        for system, bits, noise in (("softmax", 2.0, 0.0), ("mse", 2.0 + shift, 0.02))
    ]
    _, mse = page.headline(run_table.cells(run_table.runs(records)))
    assert "+0.00 to +0.10 bits per byte (no clear difference at V = 5,000)" in mse


def test_seeds_of_different_texts_have_no_interval():
    other = blocked("softmax", 2.0, seed=1)
    other.blocks["words"][0] += 1
    (row,) = leaderboard.rows(run_table.cells(run_table.runs([blocked("softmax", 2.0), other])))
    assert row.values["bits_per_byte"].interval == ""
    assert row.values["bits_per_byte"].text == "2.006"


def test_excess_is_bits_above_the_truth_of_the_same_corpus_and_size(tmp_path: Path):
    records = [blocked("softmax", 2.0), blocked("truth", 1.8), blocked("softmax", 2.0, vocabulary_size=5000)]
    cells = run_table.cells(run_table.runs(records))
    excess = dict(zip(zip(cells.vocabulary_size, cells.system, strict=True), cells.excess, strict=True))
    assert excess[1000, "softmax"] == pytest.approx(0.2 * 5)
    assert excess[1000, "truth"] == 0
    assert np.isnan(excess[5000, "softmax"])
    markdown, _ = written(records, tmp_path)
    small, large = markdown.split("V = 5,000\n")
    assert "excess bits ↓" in small and "excess bits ↓" not in large.split("## What")[0]
    assert "*truth* (limit)" in small
    (row, *_) = leaderboard.rows(cells[cells.vocabulary_size == 1000])
    assert str(row.values["excess"]) == "1.00 [1.00, 1.00]"  # what the two share cancels


def test_entropy_rate_stands_in_the_caption(tmp_path: Path):
    markdown, _ = written([plain(bits_per_byte=2.0, entropy_rate_bits=6.25)], tmp_path)
    assert "entropy rate 6.25 bits per word" in markdown


def test_brier_lm_of_a_factor_that_is_not_positive_is_undefined_not_unmeasured():
    good = {"brier_n": [0.1, 0.1, 0.1, 0.1], "brier_lm": 10.0}
    bad = {"brier_n": [0.1, 0.1, 0.1, -0.1], "brier_lm": None}
    records = [
        plain(**good),
        plain(system="mse", **good),
        plain(system="mse", seed=1, **bad),  # one seed of two: no mean of the other
        plain(system="cosine"),
    ]
    texts = {
        row.label: str(row.values["brier_lm"]) for row in leaderboard.rows(run_table.cells(run_table.runs(records)))
    }
    assert texts == {"softmax": "10.0", "mse": "undef.", "cosine": "–"}


def test_equal_data_and_equal_time_are_tables_of_their_own(tmp_path: Path):
    budgets = [{"words": 300000, "seconds": None}, {"words": None, "seconds": 15.0}]
    records = [
        plain(system=system, bits_per_byte=2.0 + i, train_seconds=9.0, config={"budget": budget, "system": system})
        for system in ("softmax", "mse")
        for i, budget in enumerate(budgets)
    ]
    markdown, html = written(records, tmp_path)
    assert re.findall(r"^## (.*V = .*)$", markdown, re.MULTILINE) == [
        "c, V = 1,000, equal data: 300,000 words",
        "c, V = 1,000, equal time: 15 s of training",
    ]
    assert re.findall(r'<h2 class="group">(.*)</h2>', html) == [
        "Equal data: 300,000 words",
        "Equal time: 15 s of training",
    ]
    assert [row[1] for row in rows_of(markdown, "softmax")] == ["**2.000**", "**9.00**", "**3.000**", "**9.00**"]
    assert " · equal time: 15 s of training · " in markdown
    for i, record in enumerate(records):
        write_record(record, tmp_path / str(i))
    report([tmp_path], tmp_path)
    assert (tmp_path / "figures" / "quality_vs_cost-equal_time_15_s_of_training.svg").is_file()


def test_variants_of_the_reference_are_compared_with_the_best_of_them():
    configs = [{"inputs": inputs} for inputs in ("learned", "contextual")]
    records = [blocked("softmax", bits, config=c) for bits, c in zip((2.0, 2.1), configs, strict=True)]
    cells = run_table.cells(run_table.runs([*records, blocked("mse", 2.2)]))
    assert significance.reference(cells).label == "softmax, learned inputs"
    assert [row.label for row in significance.differences(cells).rows] == ["softmax, contextual inputs", "mse"]


def test_a_terminal_of_any_width_cuts_no_number_short(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "60")
    runs = run_table.runs(sweep())
    terminal.show([board.systems for board in leaderboard.leaderboards(runs, run_table.cells(runs))])
    out = capsys.readouterr().out
    assert "…" not in out
    assert all(len(line) <= 60 for line in out.splitlines())
