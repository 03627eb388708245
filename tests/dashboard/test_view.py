"""Workspace and report: a section per experiment, and panels over nothing but what the runs really hold."""

import json
from typing import Any

import pytest
from factories.experiments import write_experiments
from factories.offline_runs import columns_of, entries, logged_names, offline_runs
from factories.panels import chart_table, names_of, panels

from bench.dashboard import view
from bench.dashboard.content import Content, contents


@pytest.fixture(scope="module")
def found(uploaded) -> list[Content]:
    return contents([uploaded])


@pytest.fixture(scope="module")
def spec(found, tmp_path_factory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("view") / "dashboard.json"
    view.write(path, view.workspace(found, "test", "someone"), view.report(found, "test", "someone"))
    return json.loads(path.read_text())


def test_workspace_and_report_have_a_section_per_experiment(spec):
    sections = spec["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == ["All runs", "single", "sweep"]
    headings = [
        block["children"][0]["text"] for block in spec["report"]["spec"]["blocks"]
        if block["type"] == "heading" and block["level"] == 1
    ]  # fmt: skip
    assert headings == ["single", "sweep"]


@pytest.mark.parametrize("part", ["workspace", "report"])
def test_every_name_that_a_panel_uses_was_logged_by_a_run(spec, uploaded, part):
    logged = set().union(*(logged_names(run) for run in offline_runs(uploaded)))
    used = {name for panel in panels(spec[part]) for name in names_of(panel)}
    assert used - logged == set()
    assert {"curve/validation_nats", "diagnosis/lost_to_fit", "accuracy_by_decile/10", "sweep/leaderboard"} <= used


@pytest.mark.parametrize("part", ["workspace", "report"])
def test_charts_name_columns_of_their_tables(spec, uploaded, part):
    columns = {key: value for run in offline_runs(uploaded) for key, value in columns_of(run).items()}
    drawn = [panel for panel in panels(spec[part]) if panel["viewType"] == "Vega2"]
    assert len(drawn) > 20
    for panel in drawn:
        assert set(panel["config"]["fieldSettings"].values()) <= set(columns[chart_table(panel)])


def test_charts_are_those_that_wandb_itself_made_of_the_logged_tables(spec, uploaded):
    made = {
        name.removeprefix("_wandb.visualize."): chart["panel_config"]
        for run in offline_runs(uploaded) for entry in entries(run, "config")
        for name, chart in entry["update"].items() if name.startswith("_wandb.visualize.")
    }  # fmt: skip
    drawn = {chart_table(panel).removesuffix("_table"): panel["config"] for panel in panels(spec["workspace"])
             if panel["viewType"] == "Vega2"}  # fmt: skip
    assert set(drawn) == set(made)
    for name, config in drawn.items():
        [query] = config["userQuery"]["queryFields"]
        query["args"] = [each for each in query["args"] if each["name"] != "limit"]  # number of runs
        assert config == made[name]


def test_report_shows_in_each_section_the_runs_of_its_experiment(spec):
    grids = [block for block in spec["report"]["spec"]["blocks"] if block["type"] == "panel-grid"]
    chosen = [json.dumps(grid["metadata"]["runSets"][0]["filters"]) for grid in grids]
    assert [("single" in text, "sweep" in text) for text in chosen] == [(True, False)] * 2 + [(False, True)] * 2
    assert all('"summary"' in text for text in chosen)


def test_panels_of_the_report_do_not_overlap(spec):
    for grid in (block for block in spec["report"]["spec"]["blocks"] if block["type"] == "panel-grid"):
        taken: set[tuple[int, int]] = set()
        for panel in panels(grid):
            place = panel["layout"]
            cells = {
                (x, y) for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }  # fmt: skip
            assert not taken & cells and max(x for x, _ in cells) < 24
            taken |= cells


def test_experiment_without_a_figure_has_no_panel_for_it(tmp_path):
    folder = write_experiments(tmp_path)[1]
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text()) | {"generation_quality": None, "diagnosis": None, "curve": []}
        path.write_text(json.dumps(record))
    found = contents([folder])
    view.write(tmp_path / "view.json", view.workspace(found, "test", ""), view.report(found, "test", ""))
    text = (tmp_path / "view.json").read_text()
    assert "bits_per_byte" in text
    assert not [name for name in ("curve/", "diagnosis", "generation_quality", "judge_perplexity") if name in text]
