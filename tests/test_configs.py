"""Every file of the configuration tree composes, and every experiment fans out into the grid it means."""

import itertools

import pytest
from factories.configurations import CHOICES, SYSTEMS, TREE, composed, plain
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from bench.core.command_line import check_groups
from bench.core.errors import SettingError
from bench.core.identity import identity
from bench.sweep import jobs


def cells(*overrides: str, task: list[str] | None = None) -> int:
    """How many a sweep with these overrides has, and with what the command line says on top."""
    with initialize_config_dir(str(TREE), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides), return_hydra_config=True)
        cfg.hydra.overrides.task = [*overrides, *(task or [])]
        return len(jobs(cfg))


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_under_its_own_name(group, choice):
    config = plain(f"{group}={choice}")
    if group in ("corpus", "targets", "backbone"):
        assert config[group]["name"] == choice


# test_draws, test_ledger, test_encoding and test_looping have these
ELSEWHERE = {"tune", "cost_sweep", "cost_sweep_model", "cost_encoder", "cost_loop"}


@pytest.mark.parametrize(
    "experiment", sorted({file.stem for file in (TREE / "experiment").glob("*.yaml")} - ELSEWHERE - {"context"})
)
@pytest.mark.parametrize("corpus", ["wiki_sample", "synthetic"])
def test_every_experiment_is_a_sweep_over_all_systems(experiment, corpus):
    given = [f"+experiment={experiment}", f"corpus={corpus}"]
    cfg = composed(*given, hydra=True)
    axes = cfg.hydra.sweeper.params
    assert experiment.startswith(cfg.experiment_name)
    assert str(cfg.hydra.mode) == "RunMode.MULTIRUN"
    others = [str(values).split(",") for key, values in axes.items() if key != "system"]
    grid = list(itertools.product([each for each in SYSTEMS if each != "truth" or corpus == "synthetic"], *others))
    assert cells(*given) == len(grid)
    names = {identity(plain(*given, f"system={system}", *point(axes, rest))) for system, *rest in grid}
    assert len(names) == len(grid)  # no two cells share a record


def test_context_is_a_sweep_of_regressors_over_what_the_encoder_sees():
    axes = {"targets.context": ("causal", "prefix", "bidirectional"), "targets.level": ("token", "type")}
    axes |= {"system": ("mse", "cosine")}
    grid = [dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())]
    assert cells("+experiment=context") == len(grid) == 12
    found = [plain("+experiment=context", *(f"{key}={value}" for key, value in each.items())) for each in grid]
    assert len({identity(each) for each in found}) == len(grid)
    assert {(each["corpus"]["train_words"], each["targets"]["window"]) for each in found} == {(60_000, 32)}


def point(axes: DictConfig, values: list[str]) -> list[str]:
    keys = [key for key in axes if key != "system"]
    return [f"{key}={value}" for key, value in zip(keys, values, strict=True)]


def test_the_command_line_replaces_and_adds_axes():
    task = ["system=softmax,mse", "seed=range(3)", "budget.words=10"]
    assert cells("+experiment=vocab_sweep", task=task) == 2 * 3 * 3


def test_the_truth_competes_only_where_it_is_known():
    assert "truth" in SYSTEMS
    assert cells("+experiment=smoke") == len(SYSTEMS) - 1
    assert cells("+experiment=smoke", "corpus=synthetic") == len(SYSTEMS)
    assert composed("+experiment=known_truth").corpus.name == "synthetic"


def test_only_regressors_name_targets():
    naming = {system for system in SYSTEMS if "targets" in plain(f"system={system}")["system"].get("head", {})}
    assert naming == {"mse", "cosine", "vmf", "infonce"}


def test_settings_that_change_no_figure_leave_the_identity_alone():
    base = plain("system=softmax")
    for same in (
        "logger=none",
        "results_dir=elsewhere",
        "force=true",
        "targets=random",
        "competitors=mse",
        "job=other",
    ):
        assert identity(plain("system=softmax", same)) == identity(base)
    without = {key: value for key, value in base["corpus"].items() if key != "train_words"}
    assert identity(base | {"corpus": without}) == identity(base)  # as records have it from before that setting
    for other in (
        "seed=1",
        "corpus.train_words=999",
        "budget.words=7",
        "optimizer.lr=1",
        "backbone=gru",
        "evaluation.test_words=9",
    ):
        assert identity(plain("system=softmax", other)) != identity(base)
    assert identity(plain("system=mse", "targets=random")) != identity(plain("system=mse"))


@pytest.mark.parametrize("argument", ["system=sofmax", "corpus=wiki", "+experiment=vocab", "system=softmax,no_such"])
def test_a_choice_that_is_not_there_is_one_line_that_names_the_group(argument):
    with pytest.raises(SettingError) as raised:
        check_groups([argument])
    line = str(raised.value)
    assert line.startswith(argument.lstrip("+").split("=")[0] + ": ") and "\n" not in line


@pytest.mark.parametrize("argument", ["system=glob(*)", "system=softmax,mse", "vocabulary.size=7", "--help", "seed=1"])
def test_what_hydra_understands_passes(argument):
    check_groups([argument])
