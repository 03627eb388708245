"""Every key of every configuration that the tree can compose has a type and bounds; what breaks them is named."""

import copy
import typing

import pytest
from factories.configurations import CHOICES, SYSTEMS, TREE, plain

from bench.core.config_check import check_config
from bench.core.errors import SettingError
from bench.core.job import job_of
from bench.core.known_settings import field_types
from bench.core.settings import Built, Group, Settings, System
from bench.core.value_check import find_target, target_options

COMPOSED = {f"{group}={choice}": [f"{group}={choice}"] for group, choice in CHOICES}
COMPOSED |= {file.stem: [f"+experiment={file.stem}"] for file in (TREE / "experiment").glob("*.yaml")}
COMPOSED |= {f"tune {file.stem}": ["+experiment=tune", f"+search={file.stem}"] for file in (TREE / "search").glob("*")}
BASE = plain("system=sampled_softmax", "corpus=synthetic", "targets=random")


def unruled(config: dict, model: type[Group], key: str = "") -> list[str]:
    """The keys that have neither a field nor an annotation, so that any value would pass."""
    found, hints, fields = [], {}, field_types(model)
    if "_target_" in config:
        hints = target_options(find_target(key, config["_target_"]))[0]
        passed_on_to = getattr(model, "passed_on_to", None)
        hints = hints | (target_options(find_target(key, passed_on_to))[0] if passed_on_to else {})
    for name, value in config.items():
        path, kind = f"{key}.{name}" if key else name, fields.get(name, hints.get(name, typing.Any))
        if isinstance(value, dict) and typing.get_origin(kind) is not dict:  # a typed dict rules all its values
            found += unruled(value, kind if isinstance(kind, type) and issubclass(kind, Group) else Built, path)
        elif name != "_target_" and kind is typing.Any:
            found.append(path)
    return found


def required_keys(model: type[Group], key: str = "") -> list[str]:
    """The full keys of a model's required settings; of an object that Hydra builds, those of its own fields."""
    found = []
    for name, kind in field_types(model).items():
        path = f"{key}.{name}" if key else name
        if model.model_fields[name].is_required():
            found += required_keys(kind, path) if isinstance(kind, type) and issubclass(kind, Group) else [path]
    return found


@pytest.mark.parametrize("name", COMPOSED)
def test_every_key_has_a_type_and_every_configuration_passes(name, monkeypatch):
    monkeypatch.setattr("bench.core.config_check.gpu_available", lambda: True)
    config = plain(*COMPOSED[name])
    assert unruled(config, job_of(config).settings) == []
    check_config(config)


def test_key_without_a_type_is_found():
    config = {"seed": 0, "colour": "red", "vocabulary": {"size": 1, "hue": 2}}
    assert unruled(config, Settings) == ["colour", "vocabulary.hue"]
    assert unruled({"_target_": "bench.models.count_model.CountModel", "order": 2}, Built, "system.model") == []
    assert unruled({"_target_": "builtins.dict", "order": 2}, Built, "system.model") == ["system.model.order"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_options_that_the_harness_fills_in_exist(system):
    config = plain(f"system={system}")
    part = "head" if "head" in config["system"] else "model"
    hints, _, _ = target_options(find_target("", config["system"][part]["_target_"]))
    assert set(field_types(System)[part].filled_in) <= set(hints)


def changed(key: str, value: object) -> dict:
    config = copy.deepcopy(BASE)
    *groups, name = key.split(".")
    place = config
    for group in groups:
        place = place[group]
    place[name] = value
    return config


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("seed", True, "True is not valid; give a valid integer"),
        ("seed", 2**32, "give less than or equal to 4294967295"),
        ("seed", {"a": 1}, "give a valid integer"),
        ("optimizer.lr", "3e-3", "give a valid number or null"),
        ("optimizer.lr", float("nan"), "give a finite number or null"),
        ("optimizer.gradient_clip", 0, "give greater than 0 or null"),
        ("optimizer.lr", None, "a head is trained by gradients"),
        ("budget.words", None, "^budget: words and seconds are both null"),
        ("inputs", "both", "give 'learned' or 'contextual'"),
        ("batch.streams", 0, "give greater than or equal to 1"),
        ("batch.streams", 1.5, "give a valid integer"),
        ("batch.steps", 0, "give greater than or equal to 1"),
        ("batch.steps", -1, "give greater than or equal to 1"),
        ("generation.prompts", "the", "give a valid list"),
        ("backbone.trunk.hidden_size", 10**9, "give less than or equal to 8192"),
        ("backbone.trunk.dropout", 1, "give less than 1"),
        ("backbone.trunk.cell.path", "torch.nn.Nothing", "^backbone.trunk.cell: .* cannot be found"),
        ("backbone.trunk._target_", "nowhere.Net", "cannot be imported"),
        ("backbone.trunk._target_", "sys.path", "is not a class or function"),
        ("backbone.trunk", 5, "5 is not a group of settings; set backbone.trunk._target_"),
        ("backbone", 5, "not a group of settings"),
        ("system.head.colour", "red", "SampledSoftmaxHead has no such option; its options are: samples"),
        ("system.head.hidden_size", 5, "the program supplies this option; remove it"),
        ("system.head.samples", 0, "give greater than or equal to 1"),
        ("system.head", 5, "5 is not a group of settings; set system.head._target_"),
        ("targets.dimension", 0, "give greater than or equal to 1"),
        ("trainer.devices", 0, "give 'auto' or greater than or equal to 1 or a valid list"),
        ("trainer.colour", 2, "has no such option"),
        ("trainer.precision", "16-mixed", "give '32-true' or 'bf16-mixed'"),
        ("trainer.accumulate_grad_batches", 2, "the program supplies this option; remove it"),
        ("trainer.max_steps", 2, "the program supplies this option; remove it"),
        ("vocabulary.sise", 5, "did you mean vocabulary.size"),
        ("system.name", "x" * 97, "at most 96 bytes"),
        ("experiment_name", "../x", "it names a folder"),
        ("corpus.path", [], "is not valid"),
    ],
)
def test_value_out_of_bounds_is_named(key, value, problem):
    with pytest.raises(SettingError, match=problem if problem[0] == "^" else f"^{key}: .*{problem}") as raised:
        check_config(changed(key, value))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "key", [*required_keys(Settings), "logger", "trainer._target_", "corpus.source", "targets.dimension"]
)
def test_required_setting_cannot_be_deleted(key):
    config = copy.deepcopy(BASE)
    *groups, name = key.split(".")
    place = config
    for group in groups:
        place = place[group]
    del place[name]
    with pytest.raises(SettingError, match=rf"^{key}: .*; give it a value"):
        check_config(config)


@pytest.mark.parametrize("targets", ["random", "ppmi", "static", "softmax_rows"])
def test_level_of_occurrences_is_refused_for_targets_without_them(targets):
    line = r"^targets.level: 'token' is not valid; give 'type', these targets have no vectors of occurrences$"
    with pytest.raises(SettingError, match=line):
        check_config(plain("system=mse", f"targets={targets}", "targets.level=token"))


def test_targets_of_a_head_are_those_of_the_group_targets():
    config = plain("system=mse", "targets=random")
    check_config(config)
    config["system"]["head"]["targets"]["dimension"] += 1
    with pytest.raises(SettingError, match=r"^system.head.targets: .* those of the group targets; set them there"):
        check_config(config)


def test_outside_head_is_checked_by_its_annotations(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(
        "class Head:\n    def __init__(self, *, hidden_size, vocabulary, margin: float, mystery): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = plain("system=softmax")
    config["system"]["head"] = {"_target_": "theirs.Head", "margin": 1, "mystery": object}
    check_config(config)
    config["system"]["head"]["margin"] = "wide"
    with pytest.raises(SettingError, match=r"^system.head.margin: 'wide' is not valid; give a valid number"):
        check_config(config)
    del config["system"]["head"]["margin"]
    with pytest.raises(SettingError, match=r"^system.head.margin: theirs.Head requires this option"):
        check_config(config)
