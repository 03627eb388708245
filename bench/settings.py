"""What a configuration may hold, checked before any work starts."""

from typing import Any

from bench.errors import SettingError

# setting: its type, whether null is allowed, its least value
NUMBERS: dict[str, tuple[type, bool, float]] = {
    "seed": (int, False, 0),
    "vocabulary.size": (int, False, 2),
    "batch.streams": (int, False, 1),
    "batch.steps": (int, False, 1),
    "optimizer.lr": (float, True, 0),
    "optimizer.weight_decay": (float, False, 0),
    "optimizer.gradient_clip": (float, True, 0),
    "budget.words": (int, True, 1),
    "budget.seconds": (float, True, 1e-9),
    "checkpoint.seconds": (float, False, 0),
    "evaluation.validation_words": (int, True, 100),
    "evaluation.test_words": (int, True, 1),
    "evaluation.calibration_words": (int, False, 10),
    "evaluation.search_words": (int, False, 1),
    "generation.words": (int, False, 1),
}
CHOICES = {"inputs": ("learned", "contextual")}


def check(config: dict[str, Any]) -> None:
    """A resolved configuration's plain settings.

    Raises:
        SettingError: a setting of another type, out of bounds, or budgets that never end.
    """
    for setting, (kind, nullable, least) in NUMBERS.items():
        value = look_up(config, setting)
        if value is None and nullable:
            continue
        right = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        if not (right and least <= value < float("inf")):
            number = "a whole number" if kind is int else "a number"
            raise SettingError(setting, f"{value} is not {number} of at least {least:g}" + " or null" * nullable)
    if "head" in config["system"] and config["optimizer"]["lr"] is None:
        raise SettingError("optimizer.lr", "a head is trained by gradients, so it is needed; give a number, 3e-3 say")
    for setting, choices in CHOICES.items():
        if look_up(config, setting) not in choices:
            raise SettingError(setting, f"{look_up(config, setting)} is not one of {', '.join(choices)}")
    if config["budget"]["words"] is None and config["budget"]["seconds"] is None:
        raise SettingError("budget", "words and seconds are both null, so training would never end; set one")
    if config["trainer"]["accelerator"] in ("gpu", "cuda") and not gpu():
        raise SettingError("trainer", "there is no GPU within reach; trainer=auto takes what there is")
    if not str(config["experiment_name"]).replace("-", "_").isidentifier():
        raise SettingError("experiment_name", "it names a folder: use letters, digits, - and _")


def gpu() -> bool:
    """Whether one can be used."""
    import torch  # heavy, and only this asks it

    return torch.accelerator.is_available()


def look_up(config: dict[str, Any], setting: str) -> Any:
    """`budget.words` -> its value."""
    for key in setting.split("."):
        config = config[key]
    return config
