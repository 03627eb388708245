"""What a configuration may hold, checked before any work starts: a key without a type and bounds is refused.

Those of the plain keys stand here. Those of an object that Hydra makes are the annotations of what its `_target_`
names, so that a head, a corpus or a backbone carries its own.
"""

import difflib
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pydantic
from hydra.utils import get_object, instantiate

from bench.core.errors import SettingError


def fits_a_file_name(text: str) -> str:
    """Two of them and a few numbers are one."""
    if len(text.encode()) > 96:
        raise ValueError("at most 96 bytes of UTF-8")
    return text


Count = Annotated[int, pydantic.Field(ge=1, le=2**31 - 1)]

Seed = Annotated[int, pydantic.Field(ge=0, le=2**32 - 1)]

Width = Annotated[int, pydantic.Field(ge=1, le=2**13)]  # of a layer: a square of it still fits a machine

Depth = Annotated[int, pydantic.Field(ge=1, le=64)]

Rows = Annotated[int, pydantic.Field(ge=1, le=2**16)]  # at once

Seconds = Annotated[float, pydantic.Field(ge=0, le=1e9)]

Dropout = Annotated[float, pydantic.Field(ge=0, lt=1)]

Factor = Annotated[float, pydantic.Field(ge=0, le=100)]

Name = Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(fits_a_file_name)]

Place = Annotated[str, pydantic.Field(min_length=1, max_length=4096)]

# a key of a group may be missing where no other of the group needs it; the rest may not
NEEDED: dict[str, Any] = {
    "seed": Seed,
    "inputs": Literal["learned", "contextual"],
    "vocabulary.size": Annotated[int, pydantic.Field(ge=2, le=2**31 - 1)],
    "batch.streams": Rows,
    "batch.steps": Rows,
    "optimizer.lr": Factor | None,
    "optimizer.weight_decay": Factor,
    "optimizer.gradient_clip": Annotated[float, pydantic.Field(gt=0)] | None,
    "budget.words": Annotated[int, pydantic.Field(ge=1, le=2**53)] | None,
    "budget.seconds": Annotated[float, pydantic.Field(ge=1e-9, le=1e9)] | None,
    "job": Literal["bench.run", "bench.cost.head_sweep", "bench.cost.encoder_sweep", "bench.cost.loop_sweep"],
    "checkpoint.seconds": Annotated[float, pydantic.Field(ge=0, le=1e9)],
    "evaluation.validation_words": Annotated[int, pydantic.Field(ge=100)] | None,
    "evaluation.test_words": Annotated[int, pydantic.Field(ge=10)] | None,
    "evaluation.calibration_words": Annotated[int, pydantic.Field(ge=10, le=2**31 - 1)],
    "evaluation.search_words": Count,
    "generation.words": Annotated[int, pydantic.Field(ge=1, le=10_000)],
    "generation.prompts": Annotated[
        list[Annotated[str, pydantic.Field(max_length=10_000)]], pydantic.Field(max_length=100)
    ],
    "competitors": Name,
    "experiment_name": Name,
    "results_dir": Place,
    "cache_dir": Place,
    "force": bool,
    "system.name": Name,
    "corpus.name": Name,
    "corpus.lowercase": bool,
    "backbone.name": Name,
    "targets.name": Name,
}

POSSIBLE: dict[str, Any] = {
    "system.kind": Literal["classifier", "regressor", "floor", "limit"],  # how tables and figures show the system
    "system.lr": Factor | None,
    "system.pretrained": Place | None,
    "system.open_vocabulary": bool,
    "corpus.path": Place | int | float | None,  # a folder called 2024 comes as a number
    "corpus.content_sha256": str | None,
    "corpus.train_words": Annotated[int, pydantic.Field(ge=100)] | None,
    **{f"corpus.{name}": int for name in ("types", "words", "classes", "seed", "document_words")},
    "corpus.concentration": float,  # bench.data.sources.synthetic checks the bounds of these six
    "trainer.devices": Literal["auto"] | Depth | Annotated[list[int], pydantic.Field(min_length=1, max_length=64)],
    "trainer.strategy.find_unused_parameters": bool,
    "trainer.strategy.timeout.minutes": Annotated[float, pydantic.Field(gt=0, le=1e6)],
    "trial": Annotated[int, pydantic.Field(ge=0, le=2**31 - 1)],
    "device": Literal["cpu", "cuda"],
    "precision": Literal["fp32", "bf16"],
    "cost.part": Literal["head", "model"],
    "cost.contenders": list[str] | None,
    "cost.positions": Rows,
    "cost.hidden_size": Width,
    "cost.target_size": Width,
    "cost.device": Literal["cpu", "cuda"],
    "cost.precision": Literal["fp32", "bf16"],
    "cost.rounds": Count,
    "cost.words": Annotated[int, pydantic.Field(ge=256, le=2**17)],
    "cost.window": Annotated[int, pydantic.Field(ge=1, le=2**20)],
    **{f"cost.{name}_seconds": Seconds for name in ("act", "visit", "longest", "index")},
}

GIVEN = {  # options of an object that the harness fills in
    "backbone.trunk": ("vocabulary_size", "input_width"),
    "corpus.source": (),
    "logger": ("folder", "cell", "config"),
    "system.head": ("hidden_size", "vocabulary"),
    "system.model": ("corpus", "vocabulary"),
    "targets": ("vocabulary", "cache_dir"),
    "trainer": ("logger", "callbacks", "max_epochs"),
}

PASSED_ON = {"trainer": "pytorch_lightning.Trainer"}  # the options that a `_target_` does not name itself

CHECKED = pydantic.ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


def check_config(config: dict[str, Any]) -> None:
    """A resolved configuration: every key is there that is needed, and none but what somebody reads.

    Raises:
        SettingError: a key that is missing, unknown, of another type or out of bounds, or budgets that never end.
    """
    for setting in (*NEEDED, *(f"{node}._target_" for node in GIVEN if not node.startswith("system."))):
        look_up(config, setting)
    if ("head" in config["system"]) == ("model" in config["system"]):
        raise SettingError("system", "it has to have either a head or a model; choose one of conf/system")
    check_node("", config, config)
    if "head" in config["system"] and config["optimizer"]["lr"] is None:
        raise SettingError("optimizer.lr", "a head is trained by gradients, so it is needed; give a number, 3e-3 say")
    if config["budget"]["words"] is None and config["budget"]["seconds"] is None:
        raise SettingError("budget", "words and seconds are both null, so training would never end; set one")
    if config["trainer"]["accelerator"] in ("gpu", "cuda") and not gpu():
        raise SettingError("trainer", "there is no GPU within reach; trainer=auto takes what there is")
    check_folder(config["experiment_name"])


def check_folder(experiment_name: Any) -> None:
    """It is one folder, here and on any other system."""
    if not str(experiment_name).replace("-", "_").isidentifier() or len(str(experiment_name).encode()) > 60:
        raise SettingError("experiment_name", "it names a folder: use at most 60 letters, digits, - and _")


def gpu() -> bool:
    """Whether one can be used."""
    import torch  # heavy, and only this asks it

    return torch.accelerator.is_available()


def look_up(config: dict[str, Any], setting: str) -> Any:
    """`budget.words` -> its value.

    Raises:
        SettingError: there is none.
    """
    group, _, name = setting.rpartition(".")
    values = look_up(config, group) if group else config
    if not isinstance(values, dict):
        raise SettingError(group, f"{quoted(values)} is not a group of settings; set {setting} instead")
    if name not in values:
        raise SettingError(setting, "it is missing, and somebody reads it; do not delete it")
    return values[name]


def check_node(key: str, value: Any, config: dict[str, Any]) -> None:
    """A setting, or a group with all below it."""
    rules = NEEDED | POSSIBLE
    if key in rules:
        check_value(key, value, rules[key])
    elif isinstance(value, dict) and "_target_" in value:
        check_object(key, value, config)
    elif isinstance(value, dict) and (not key or any(rule.startswith(f"{key}.") for rule in (*rules, *GIVEN))):
        for name, inner in value.items():
            check_node(f"{key}.{name}" if key else str(name), inner, config)
    elif key in GIVEN:
        raise SettingError(key, f"{quoted(value)} makes no object; give it a _target_, as the files of conf do")
    else:
        raise SettingError(key, nothing_of(key))


def nothing_of(key: str) -> str:
    """What to say of a key that nobody reads."""
    near = difflib.get_close_matches(key, [*NEEDED, *POSSIBLE], n=1, cutoff=0.8)
    remedy = f"did you mean {near[0]}?" if near and near[0] != key else "`--cfg job` shows those that there are"
    return f"there is no such setting with these groups; {remedy}"


def check_object(key: str, node: dict[str, Any], config: dict[str, Any]) -> None:
    """The options of what a `_target_` names, by its own annotations."""
    target = find(f"{key}._target_", node["_target_"])
    hints, needed, takes_all = options(target)
    if key in PASSED_ON:
        hints, takes_all = options(find(key, PASSED_ON[key]))[0] | hints, False
    own = [name for name in hints if name not in GIVEN.get(key, ())]
    rules = NEEDED | POSSIBLE
    for name, value in node.items():
        setting = f"{key}.{name}"
        if name in GIVEN.get(key, ()):
            raise SettingError(setting, "the harness fills it in; remove it")
        if setting in rules:
            check_value(setting, value, rules[setting])
        elif setting == "system.head.targets":
            if value != config["targets"]:
                raise SettingError(setting, "a head's targets are those of the group targets; set them there")
        elif isinstance(value, dict) and "_target_" in value:
            check_object(setting, value, config)
        elif name in hints:
            check_value(setting, value, hints[name])
        elif name != "_target_" and not takes_all:
            raise SettingError(setting, f"{node['_target_']} has no such option; choose of {', '.join(own) or 'none'}")
    for name in needed:
        if name not in node and name not in GIVEN.get(key, ()):
            raise SettingError(f"{key}.{name}", f"{node['_target_']} needs it; do not delete it")
    if target.__module__.startswith("hydra."):  # it only looks something up
        try:
            instantiate(node)
        except Exception as error:  # whatever importing raises
            raise SettingError(
                key, f"{quoted(node)} cannot be found ({type(error).__name__}); mend its path"
            ) from error


def find(setting: str, target: Any) -> Callable[..., Any]:
    """What a `_target_` names."""
    try:
        found = get_object(target)
    except Exception as error:  # whatever importing raises
        problem = f"{quoted(target)} cannot be imported ({type(error).__name__}: {error}); give package.module.Name"
        raise SettingError(setting, problem) from error
    if not callable(found):
        raise SettingError(setting, f"{target} is not a class or function; give one")
    return found


@functools.cache
def options(target: Callable[..., Any]) -> tuple[dict[str, Any], list[str], bool]:
    """A callable's options and their types, those it cannot do without, and whether it takes any other."""
    try:
        parameters = inspect.signature(target).parameters
        types = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except (ValueError, TypeError, NameError):  # one in C, or types that are not imported when it runs
        return {}, [], True
    kinds = {name: parameter.kind for name, parameter in parameters.items()}
    named = {
        name: types.get(name, Any)
        for name, kind in kinds.items()
        if kind not in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD)
    }
    needed = [name for name in named if parameters[name].default is inspect.Parameter.empty]
    rest = next((types.get(name, Any) for name, kind in kinds.items() if kind is kind.VAR_KEYWORD), None)
    if typing.get_origin(rest) is typing.Unpack:
        unpacked = typing.get_type_hints(typing.get_args(rest)[0], include_extras=True)
        return named | unpacked, [*needed, *unpacked], False
    return named, needed, rest is not None


def check_value(setting: str, value: Any, kind: Any) -> None:
    """One value against one type, by pydantic: 1 is a float, but true is no int and "1" no number."""
    try:
        pydantic.TypeAdapter(kind, config=CHECKED).validate_python(value)
    except pydantic.ValidationError as error:
        wanted = " or ".join(
            dict.fromkeys(
                each["msg"].removeprefix("Input should be ").removeprefix("Value error, ") for each in error.errors()
            )
        )
        null = " or null" if type(None) in typing.get_args(kind) else ""
        raise SettingError(setting, f"{quoted(value)} does not work; give {wanted}{null}") from None
    except pydantic.errors.PydanticUserError:  # a type of somebody's that pydantic does not know
        return


def quoted(value: Any) -> str:
    """A value as a message can hold it."""
    text = repr(value)
    return text if len(text) <= 120 else text[:119] + "…"
