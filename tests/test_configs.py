"""Every file of conf/ composes, every experiment has the cells of its axes, and settings of systems are consistent."""

import inspect
import itertools

import pytest
from factories.configurations import CHOICES, SYSTEMS, TREE, cells, composed, composed_with_hydra, plain
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from bench.core.command_line import check_groups
from bench.core.config_check import check_config
from bench.core.errors import SettingError
from bench.core.identity import identity
from bench.cost import our_heads
from bench.report.record_facts import LIMIT
from bench.report.run_table import COMPETING


@pytest.fixture(scope="module")
def systems() -> dict[str, dict]:
    """Content of every file in conf/system/, by its name."""
    files = {system: OmegaConf.load(TREE / "system" / f"{system}.yaml") for system in SYSTEMS}
    return {system: OmegaConf.to_container(content, resolve=False) for system, content in files.items()}


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_choice_composes_and_its_name_is_that_of_its_file(group, choice):
    config = plain(f"{group}={choice}")
    if group in ("corpus", "targets", "backbone"):
        assert config[group]["name"] == choice


COMPETITORS = "softmax sampled_softmax adaptive_softmax mse cosine infonce gpt2 ngram unigram".split()

# tested by test_random_search, tests/cost, test_gpu_reference and test_rate_by_words
ELSEWHERE = {"tune", "cost_sweep", "cost_sweep_model", "cost_encoder", "cost_loop", "gpu_reference", "data_scaling"}
ELSEWHERE |= {"learning_rate", "passes"}
ELSEWHERE |= {"objective_ladder", "objective_ladder_classifiers", "target_ablation"}  # tested by test_ladder
ELSEWHERE |= {"proposal", "proposal_rate", "leak"}  # tested by test_ladder


@pytest.mark.parametrize(
    "experiment", sorted({file.stem for file in (TREE / "experiment").glob("*.yaml")} - ELSEWHERE - {"context"})
)
def test_experiment_is_a_sweep_over_the_competitors(experiment):
    """The true model competes too, if the corpus has one."""
    overrides = [f"+experiment={experiment}", "corpus=synthetic"]
    cfg = composed_with_hydra(*overrides)
    axes = cfg.hydra.sweeper.params
    assert experiment.startswith(cfg.experiment_name)
    assert str(cfg.hydra.mode) == "RunMode.MULTIRUN"
    others = [str(values).split(",") for key, values in axes.items() if key != "system"]
    grid = list(itertools.product([*COMPETITORS, "truth"], *others))
    assert cells(*overrides) == len(grid)
    assert cells(overrides[0], "corpus=wiki_sample") == len(grid) // (len(COMPETITORS) + 1) * len(COMPETITORS)
    stems = {identity(plain(*overrides, f"system={system}", *point(axes, rest))) for system, *rest in grid}
    assert len(stems) == len(grid)  # no two cells share a record


@pytest.mark.parametrize(
    "overrides",
    [
        ["system=mse", "seed=3", "targets=random", "targets.dimension=7", 'generation.prompts=[a,"b c"]'],
        ["+experiment=leak", "targets.context=causal", "targets.centre=true", "optimizer.lr=1"],
        ["+experiment=tune", "+search=mse", "trial=7", "backbone.trunk.cell.path=torch.nn.GRU", "results_dir=/a b"],
        ["budget.words=null", "budget.seconds=5", "experiment_name=${system.name}"],
    ],
)  # fmt: skip
def test_composition_of_the_tests_equals_that_of_hydra(overrides):
    with initialize_config_dir(str(TREE), version_base="1.3"):
        whole = compose("config", overrides)
    for _ in range(2):
        assert OmegaConf.to_yaml(composed(*overrides)) == OmegaConf.to_yaml(whole)


def test_context_experiment_crosses_regressors_levels_and_encoder_contexts():
    axes = {"targets.context": ("causal", "prefix", "bidirectional"), "targets.level": ("token", "type")}
    axes |= {"system": ("mse", "cosine")}
    grid = [dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())]
    assert cells("+experiment=context") == len(grid) == 12
    configs = [plain("+experiment=context", *(f"{key}={value}" for key, value in each.items())) for each in grid]
    assert len({identity(each) for each in configs}) == len(grid)
    assert {(each["corpus"]["train_words"], each["targets"]["window"]) for each in configs} == {(60_000, 32)}


def point(axes: DictConfig, values: list[str]) -> list[str]:
    keys = [key for key in axes if key != "system"]
    return [f"{key}={value}" for key, value in zip(keys, values, strict=True)]


def test_command_line_replaces_and_adds_axes():
    task = ["system=softmax,mse", "seed=range(3)", "budget.words=10"]
    assert cells("+experiment=vocab_sweep", task=task) == 2 * 3 * 3


@pytest.mark.parametrize(
    ("competitors", "count"),
    [
        ("glob(*)", len(SYSTEMS)),
        ("glob(*,exclude=[truth,predictions])", len(SYSTEMS) - 2),
        ("[softmax,nce]", 2),
        ("vmf", 1),
    ],
)
def test_competitors_are_a_pattern_or_a_list_or_one_system(competitors, count):
    quoted = competitors if competitors.startswith("[") else f"'{competitors}'"
    check_config(plain(f"competitors={quoted}"))
    assert cells("+experiment=smoke", f"competitors={quoted}") == count


def test_truth_competes_only_on_a_corpus_whose_distribution_is_known():
    assert set(COMPETITORS) < set(SYSTEMS) - {"truth", "predictions"}
    assert cells("+experiment=smoke") == len(COMPETITORS)
    assert cells("+experiment=smoke", "corpus=synthetic") == len(COMPETITORS) + 1
    assert composed("+experiment=known_truth").corpus.name == "synthetic"


def test_system_names_targets_if_and_only_if_its_head_takes_targets(systems):
    heads = {system: config["head"] for system, config in systems.items() if "head" in config}
    naming = {system for system, head in heads.items() if "targets" in head}
    taking = {
        system
        for system, head in heads.items()
        if "targets" in inspect.signature(get_class(head["_target_"])).parameters
    }
    assert naming == taking >= {"mse", "cosine", "vmf", "infonce"}
    assert "softmax" in heads.keys() - naming


def test_kind_is_regressor_if_and_only_if_the_rows_are_fixed_targets(systems):
    regressors = {system for system, config in systems.items() if config["kind"] == "regressor"}
    naming = {system for system, config in systems.items() if "targets" in config.get("head", {})}
    # the rows of the first only begin at the targets; those of the other are in its file
    assert regressors == naming - {"initialised_softmax"} | {"predictions"}


def test_kind_tells_which_systems_are_trained(systems):
    """A system without a peak learning rate is counted or known: a floor or the limit."""
    trained = {system for system, config in systems.items() if config["lr"] is not None}
    trained |= {"predictions"}  # by another program
    assert trained == {system for system, config in systems.items() if config["kind"] in COMPETING}
    assert {system for system, config in systems.items() if config["kind"] == "limit"} == {LIMIT}


def test_every_system_with_a_head_is_a_contender_of_the_cost_sweep(systems):
    with initialize_config_dir(str(TREE), version_base="1.3"):
        contenders = sorted(cfg.system.name for cfg in our_heads.systems())
    assert contenders == sorted(config["name"] for config in systems.values() if "head" in config)


def test_training_words_are_those_of_the_budget_unless_they_are_given():
    assert plain()["corpus"]["train_words"] == plain()["budget"]["words"] == 300_000
    assert plain("budget.words=null", "budget.seconds=5")["corpus"]["train_words"] is None
    assert plain("+experiment=equal_time")["corpus"]["train_words"] is None
    assert plain("budget.words=7", "corpus.train_words=99")["corpus"]["train_words"] == 99
    for text in ("kjv", "text", "synthetic", "wikitext2"):
        assert plain(f"corpus={text}", "budget.words=5000")["corpus"]["train_words"] == 5000


def test_identity_ignores_settings_that_change_no_figure():
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
    whole = plain("system=softmax", "corpus.train_words=null")
    without = {key: value for key, value in base["corpus"].items() if key != "train_words"}
    assert identity(base | {"corpus": without}) == identity(whole)  # records from before that setting
    for other in (
        "seed=1",
        "corpus.train_words=999",
        "corpus.train_words=null",
        "budget.words=7",
        "optimizer.lr=1",
        "backbone=gru",
        "evaluation.test_words=9",
    ):
        assert identity(plain("system=softmax", other)) != identity(base)
    assert identity(plain("system=mse", "targets=random")) != identity(plain("system=mse"))


@pytest.mark.parametrize("argument", ["system=sofmax", "corpus=wiki", "+experiment=vocab", "system=softmax,no_such"])
def test_unknown_choice_is_refused_in_one_line_that_names_its_group(argument):
    with pytest.raises(SettingError) as raised:
        check_groups([argument])
    line = str(raised.value)
    assert line.startswith(argument.lstrip("+").split("=")[0] + ": ") and "\n" not in line


@pytest.mark.parametrize("argument", ["system=glob(*)", "system=softmax,mse", "vocabulary.size=7", "--help", "seed=1"])
def test_arguments_in_hydras_syntax_are_accepted(argument):
    check_groups([argument])
