"""Check a resolved configuration before any work starts: a key without a type and bounds is refused."""

import re
from typing import Any

from hydra.utils import instantiate

from bench.core.dotted import dotted
from bench.core.errors import SettingError
from bench.core.job import job_of
from bench.core.known_settings import field_types, unknown_setting
from bench.core.settings import Built, Group, Settings, quoted
from bench.core.value_check import check_value, find_target, target_options

MISSING = "this required setting is missing; give it a value"


def check_config(config: dict[str, Any], *, here: bool = True) -> None:
    """Check that a resolved configuration has every required key, and no other key than those that are read.

    Args:
        here: this machine will do the work, so it needs the devices; False for a job that a cluster will run.

    Raises:
        SettingError: a key that is missing, unknown, of another type or out of bounds, or budgets that never end.
    """
    if "job" not in config:
        raise SettingError("job", MISSING)
    if not isinstance(config["job"], str):
        check_value("job", config["job"], str)
    check_plain("", config, Settings)  # before importing the job's module: a bad number is then refused within a second
    check_group("", config, job_of(config).settings, config)
    if ("head" in config["system"]) == ("model" in config["system"]):
        raise SettingError("system", "it must have a head or a model, not both; choose one of conf/system")
    if "head" in config["system"] and config["optimizer"]["lr"] is None:
        raise SettingError("optimizer.lr", "it is null, but a head is trained by gradients; give a number such as 3e-3")
    if config["budget"]["words"] is None and config["budget"]["seconds"] is None:
        raise SettingError("budget", "words and seconds are both null, so training would never end; set one")
    if here and config["trainer"]["accelerator"] in ("gpu", "cuda") and not gpu_available():
        raise SettingError("trainer", "no GPU is available; trainer=auto takes the devices that are there")
    devices, strategy = config["trainer"].get("devices", 1), config["trainer"].get("strategy")
    if strategy is None and devices != 1 and not (isinstance(devices, list) and len(devices) == 1):
        raise SettingError("trainer.devices", "several devices need trainer=ddp; give 1, or a list of one device")
    check_folder(config["experiment_name"])


def check_folder(experiment_name: Any) -> None:
    """Check that an experiment's name is the name of one folder, on any operating system.

    Raises:
        SettingError: it is not.
    """
    name = str(experiment_name)
    marked = re.search(r"[^\w-]", name)  # Python's identifiers may hold combining marks, which `folder_name` replaces
    if marked or not name.replace("-", "_").isidentifier() or len(name.encode()) > 60:
        raise SettingError("experiment_name", "it names a folder: use at most 60 letters, digits, - and _")


def gpu_available() -> bool:
    """True if torch can use a GPU by CUDA or ROCm; Apple's GPU computes no float64, which evaluation needs."""
    import torch  # heavy, and only this function needs it

    return torch.cuda.is_available()


def check_plain(key: str, values: Any, model: type[Group]) -> None:
    """Check the values of plain settings that exist, in a group and all groups below; import nothing.

    Objects that Hydra builds, missing keys and unknown keys are left to `check_group`.
    """
    for name, kind in field_types(model).items() if isinstance(values, dict) else ():
        if name not in values:
            continue
        if not (isinstance(kind, type) and issubclass(kind, Group)):
            check_value(dotted(key, name), values[name], kind)
        elif not issubclass(kind, Built):
            check_plain(dotted(key, name), values[name], kind)


def check_group(key: str, values: Any, model: type[Group], config: dict[str, Any]) -> None:
    """Check a group of settings and all groups below.

    Args:
        key: full key of the group; empty for the whole configuration.
        config: the whole configuration.
    """
    fields = field_types(model)
    if not isinstance(values, dict):
        problem = f"{quoted(values)} is not a group of settings; set {dotted(key, next(iter(fields)))} instead"
        raise SettingError(key, problem)
    for name, field in model.model_fields.items():
        if field.is_required() and name not in values:
            raise SettingError(dotted(key, name), MISSING)
    order = list(fields)  # of the model: a setting comes before those whose defaults refer to it
    for name in sorted(values, key=lambda name: order.index(name) if name in fields else -1):
        setting, value = dotted(key, name), values[name]
        if name not in fields:
            raise SettingError(setting, unknown_setting(setting))
        kind = fields[name]
        if isinstance(kind, type) and issubclass(kind, Built):
            check_object(setting, value, kind, config)
        elif isinstance(kind, type) and issubclass(kind, Group):
            check_group(setting, value, kind, config)
        else:
            check_value(setting, value, kind)


def check_object(key: str, node: Any, model: type[Built], config: dict[str, Any]) -> None:
    """Check the options of an object that Hydra builds, by its model's fields and its target's annotations."""
    if not isinstance(node, dict):
        raise SettingError(key, f"{quoted(node)} is not a group of settings; set {key}._target_ instead")
    fields = field_types(model)
    for name in ("_target_", *(name for name, field in model.model_fields.items() if field.is_required())):
        if name not in node:
            raise SettingError(f"{key}.{name}", MISSING)
    target = find_target(f"{key}._target_", node["_target_"])
    hints, needed, takes_all = target_options(target)
    if model.passed_on_to:
        hints, takes_all = target_options(find_target(key, model.passed_on_to))[0] | hints, False
    for name, value in node.items():
        setting, kind = dotted(key, name), fields.get(name)
        built = isinstance(value, dict) and "_target_" in value
        if name in model.filled_in:
            raise SettingError(setting, "the program supplies this option; remove it from the configuration")
        if setting == "system.head.targets":
            if value != config.get("targets"):
                raise SettingError(setting, "a head's targets are those of the group targets; set them there")
        elif built:
            inner = kind if isinstance(kind, type) and issubclass(kind, Built) else Built
            check_object(setting, value, inner, config)
        elif kind is not None and not (isinstance(kind, type) and issubclass(kind, Group)):
            check_value(setting, value, kind)
        elif name in hints:
            check_value(setting, value, hints[name])
        elif name != "_target_" and not takes_all:
            own = ", ".join(each for each in hints if each not in model.filled_in)
            raise SettingError(setting, f"{node['_target_']} has no such option; its options are: {own or 'none'}")
    for name in needed:
        if name not in node and name not in model.filled_in:
            raise SettingError(f"{key}.{name}", f"{node['_target_']} requires this option; give it a value")
    if target.__module__.startswith("hydra."):  # such a target only looks something up
        try:
            instantiate(node)
        except Exception as error:  # importing a module may raise anything
            problem = f"{quoted(node)} cannot be found ({type(error).__name__}); correct its path"
            raise SettingError(key, problem) from error
