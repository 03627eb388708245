"""`system=a,b` in a cost experiment: one job measures these systems and the baselines."""

import json

import pytest
from factories.configurations import TREE
from hydra import compose, initialize_config_dir

from bench.core.errors import SettingError
from bench.cost.contender import selected_names
from bench.cost.head_sweep import selected_contenders
from bench.cost.system_argument import as_contenders

TINY = [
    "vocabulary.size=60", "cost.positions=16", "cost.hidden_size=8", "cost.target_size=8", "cost.rounds=1",
    "cost.operation_seconds=0.01", "cost.repeat_seconds=0.001", "cost.index_seconds=0.1", "logger=none",
]  # fmt: skip


@pytest.mark.parametrize("experiment", ["cost_sweep", "cost_sweep_model", "cost_loop"])
def test_systems_of_a_cost_experiment_become_its_contenders(experiment):
    arguments = [f"+experiment={experiment}", "system=softmax,cosine", "seed=1"]
    assert as_contenders(arguments) == [arguments[0], "seed=1", "cost.contenders=[softmax,cosine,'peer:*']"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["system=softmax,cosine"],
        ["+experiment=vocab_sweep", "system=softmax,cosine"],
        ["+experiment=cost_encoder", "system=mse"],  # has no contenders among the systems
        ["+experiment=cost_sweep", "cost.contenders=[mse]"],
        ["+experiment=nothing", "system=softmax"],
    ],
)
def test_other_arguments_stay_as_typed(arguments):
    assert as_contenders(arguments) == arguments


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["system=softmax", "cost.contenders=[mse]"], "^system: cost.contenders names the systems already; give one"),
        (
            ["system.head._target_=their.Head"],
            r"^system.head._target_: a cost experiment measures every system as its file",
        ),
        (["system=glob(*)"], r"^system: glob.* is not a list of names; give e.g. cost.contenders="),
    ],
)
def test_selection_that_is_unclear_is_refused(more, problem):
    with pytest.raises(SettingError, match=problem):
        as_contenders(["+experiment=cost_sweep", *more])


def test_patterns_select_contenders_in_their_order():
    names = ["softmax", "mse", "peer:a", "peer:b[1]"]
    assert selected_names(names, ["peer:*", "mse"]) == ["mse", "peer:a", "peer:b[1]"]
    assert selected_names(names, ["peer:b[1]"]) == ["peer:b[1]"]
    assert selected_names(names[:2], ["softmax", "peer:*"]) == ["softmax"]
    assert selected_names(names, None) == names
    with pytest.raises(SettingError, match=r"^cost.contenders: there is no cosine; choose one of softmax, mse, peer:a"):
        selected_names(names, ["cosine"])
    with pytest.raises(SettingError, match=r"^cost.contenders: there is no softmx; did you mean softmax\? The choices"):
        selected_names(names, ["softmx"])


@pytest.mark.slow
def test_command_measures_the_systems_in_one_job(tmp_path, forked):
    """The model's sweep, which has no baselines, is quick."""
    done = forked(tmp_path, "+experiment=cost_sweep_model", "system=softmax,cosine", *TINY)
    assert done.returncode == 0, done.stderr
    [ledger] = (tmp_path / "results" / "cost_sweep").glob("v60-*.json")
    assert [row["contender"] for row in json.loads(ledger.read_text())["rows"]] == ["cosine", "softmax"]
    assert "[1/1]" in done.stderr


def test_baselines_are_measured_beside_the_systems():
    arguments = as_contenders(["+experiment=cost_sweep", "system=softmax,cosine"])
    with initialize_config_dir(str(TREE), version_base="1.3"):
        cfg = compose("config", arguments)
        names = [contender.name for contender in selected_contenders(cfg)]
    assert [name for name in names if not name.startswith("peer:")] == ["cosine", "softmax"]
    assert len(names) > 8
