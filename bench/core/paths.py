"""One configuration -> what its cell is called and where its record and weights stand."""

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bench.core.files import check_free_space, content_sha256
from bench.core.identity import LONGEST_PART, identity
from bench.core.secrets import refuse_secrets
from bench.core.settings import NEEDED, check_folder, check_value

NO_WEIGHT = {"generation", "evaluation"}  # settings that no trained weight hangs on

NO_PIECE = {"backbone", "batch", "inputs", "targets"}  # and those that a model of word pieces does not read


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain data, every reference followed."""
    return OmegaConf.to_container(cfg, resolve=True)


def resolved_config(cfg: DictConfig) -> dict[str, Any]:
    """The same, and a user's text named by its content.

    Raises:
        SettingError: a secret of the environment would be written down with it.
    """
    config = plain_config(cfg)
    refuse_secrets(config)
    if config["corpus"].get("path") is not None:
        config["corpus"]["content_sha256"] = content_sha256(config["corpus"]["path"])
    return config


def record_stem(config: dict[str, Any]) -> Path:
    """Where a configuration's record stands, without the suffix."""
    return Path(config["results_dir"]) / folder_name(config["experiment_name"]) / identity(config)


def check_results_folder(cfg: DictConfig, overrides: list[str]) -> None:
    """Asked before anything is written, Hydra's own folder included.

    Args:
        overrides: as typed; Hydra keeps them.

    Raises:
        SettingError: results would leave their folder or find no room there, or a secret would be written down.
    """
    for override in overrides:
        refuse_secrets(override.partition("=")[2], override.partition("=")[0].lstrip("+~"))
    refuse_secrets(
        OmegaConf.to_container(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), resolve=False)
    )
    check_folder(cfg.experiment_name)
    check_value("results_dir", cfg.results_dir, NEEDED["results_dir"])
    check_free_space(Path(cfg.results_dir) / cfg.experiment_name)


def folder_name(name: object) -> str:
    """An experiment's name as that of a folder: below the results, whatever it says."""
    return re.sub(r"[^\w-]", "_", str(name)).encode()[:LONGEST_PART].decode(errors="ignore")


def weights_path(config: dict[str, Any]) -> Path:
    """Where its trained weights stand: a model of word pieces is the same one at every vocabulary size."""
    kept = {key: value for key, value in config.items() if key not in NO_WEIGHT}
    if config["system"].get("open_vocabulary"):
        kept = {key: value for key, value in kept.items() if key not in NO_PIECE}
        kept |= {"vocabulary": {"size": "any"}, "inputs": "pieces", "targets": None}
    return record_stem(config).parent / "weights" / f"{identity(kept)}.safetensors"


def identifying_fields(config: dict[str, Any]) -> dict[str, Any]:
    """The record fields that name a cell."""
    system = config["system"]
    leaks = config["inputs"] == "contextual" and config["targets"].get("context") == "bidirectional"
    return {
        "experiment": config["experiment_name"],
        "system": system["name"] + (" (inputs see the future)" if leaks and "head" in system else ""),
        "head": system["head"]["_target_"].rsplit(".", 1)[-1] if "head" in system else None,
        "backbone": config["backbone"]["name"] if "head" in system else None,
        "corpus": config["corpus"]["name"],
        "vocabulary_size": config["vocabulary"]["size"],
        "seed": config["seed"],
    }
