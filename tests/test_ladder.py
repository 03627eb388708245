"""Experiments on objectives and targets: the cells of each sweep are those that its file promises."""

import functools
import itertools

import pytest
from factories.configurations import cells, plain

from bench.core.identity import identity
from bench.core.paths import identifying_fields

READING_TARGETS = "mse cosine max_margin vmf rescued infonce frozen_softmax initialised_softmax".split()
AXES = {
    "objective_ladder": {"system": READING_TARGETS, "targets": ["bert", "static", "ppmi", "random"], "seed": "012"},
    "objective_ladder_classifiers": {
        "system": ["softmax", "sampled_softmax", "adaptive_softmax", "nce"],
        "targets": ["random"],
        "seed": "012",
    },
    "proposal": {"system": ["mse", "cosine", "sampled_softmax"], "seed": "012"},
    "leak": {
        "system": ["mse", "cosine", "sampled_softmax"],
        "seed": "012",
        "targets.context": ["causal", "bidirectional"],
    },
    "proposal_rate": {
        "system": ["mse", "cosine", "sampled_softmax"],
        "optimizer.lr": ["5e-4", "1e-3", "2e-3", "4e-3", "8e-3", "1.6e-2"],
    },
    "target_ablation": {
        "system": ["mse", "cosine", "infonce"],
        "targets.centre": ["false", "true"],
        "targets.whiten": ["false", "true"],
        "targets.normalise": ["false", "true"],
    },
}


@functools.cache
def configurations(experiment: str) -> list[dict]:
    """Compose the configuration of every point of the axes, of the first seed."""
    axes = AXES[experiment] | ({"seed": "0"} if "seed" in AXES[experiment] else {})
    points = itertools.product(*([f"{key}={value}" for value in values] for key, values in axes.items()))
    return [plain(f"+experiment={experiment}", *point) for point in points]


@pytest.mark.parametrize("experiment", AXES)
def test_experiment_has_one_cell_per_point_of_its_axes(experiment):
    configs = configurations(experiment)
    assert cells(f"+experiment={experiment}") == len(configs) * len(AXES[experiment].get("seed", "0"))
    assert len({identity(config) for config in configs}) == len(configs)


def test_both_parts_of_the_ladder_share_a_folder_and_no_cell():
    parts = [configurations(experiment) for experiment in ("objective_ladder", "objective_ladder_classifiers")]
    assert {config["experiment_name"] for part in parts for config in part} == {"objective_ladder"}
    first, second = ({identity(config) for config in part} for part in parts)
    assert first.isdisjoint(second)


def test_proposal_regresses_the_raw_vector_of_the_occurrence_from_contextual_inputs():
    for config in configurations("proposal"):
        targets = config["targets"]
        assert (config["inputs"], targets["name"], targets["level"]) == ("contextual", "bert", "token")
        assert not (targets["centre"] or targets["whiten"] or targets["normalise"])
        assert targets["context"] == "causal"


def test_leak_has_the_cells_of_the_proposal_and_their_bidirectional_counterparts():
    proposal = {identity(config) for config in configurations("proposal")}
    causal, leaking = [], []
    for config in configurations("leak"):
        (causal if config["targets"]["context"] == "causal" else leaking).append(config)
    assert {identity(config) for config in causal} == proposal
    assert all("(inputs see the future)" in identifying_fields(config)["system"] for config in leaking)
