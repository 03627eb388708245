"""Resolve a configuration, and name the files of its cell: record, positions and weights."""

import functools
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bench.core.config_check import check_folder
from bench.core.environment import config_dir
from bench.core.files import check_free_space, content_sha256
from bench.core.identity import LONGEST_PART, identity
from bench.core.record import targets_sha256
from bench.core.secrets import refuse_secrets
from bench.core.settings import Place
from bench.core.value_check import check_value

NO_WEIGHT = {"generation", "evaluation"}  # settings that do not change trained weights

NO_PIECE = {"backbone", "batch", "inputs", "targets"}  # settings that a model of word pieces does not read


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain data with every interpolation resolved."""
    return OmegaConf.to_container(cfg, resolve=True)


def resolved_config(cfg: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain data, with the hashes of a user's files and the name of an outside head.

    Raises:
        SettingError: a secret of the environment would be written down with it.
    """
    config = plain_config(cfg)
    refuse_secrets(config)
    if config["corpus"].get("path") is not None:
        config["corpus"]["content_sha256"] = content_sha256(config["corpus"]["path"])
    system = config["system"]
    for read in (config["targets"], system.get("head", {}).get("targets", {}), system.get("model", {})):
        if read.get("path") is not None and read.get("sha256", "") is None:
            read["sha256"] = targets_sha256(read["path"])
    config["system"]["name"] = system_name(config["system"])
    return config


def system_name(system: dict[str, Any]) -> str:
    """Return the name of a system in records and tables.

    A head that replaces the head of a shipped system (`system.head._target_=their_package.TheirHead`) is named by its
    class if the name is still that of the shipped system.
    """
    shipped = shipped_heads().get(system["name"])
    head = system.get("head", {}).get("_target_")
    return system["name"] if shipped is None or head in (None, shipped) else head.rpartition(".")[2]


@functools.cache
def shipped_heads() -> dict[str, str]:
    """Return the head class of each system in the configuration tree, by the system's name."""
    systems = (OmegaConf.load(file) for file in Path(config_dir(), "system").glob("*.yaml"))
    return {system.name: system.head["_target_"] for system in systems if "head" in system}


def record_stem(config: dict[str, Any]) -> Path:
    """Return the path of a cell's record, without the suffix."""
    return Path(config["results_dir"]) / folder_name(config["experiment_name"]) / identity(config)


def check_results_folder(cfg: DictConfig, overrides: list[str]) -> None:
    """Check the folder of results before anything is written into it, Hydra's own files included.

    Args:
        overrides: as typed on the command line; Hydra writes them down.

    Raises:
        SettingError: results would leave their folder or do not fit there, or a secret would be written down.
    """
    for override in overrides:
        refuse_secrets(override.partition("=")[2], override.partition("=")[0].lstrip("+~"))
    refuse_secrets(
        OmegaConf.to_container(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), resolve=False)
    )
    check_folder(cfg.experiment_name)
    check_value("results_dir", cfg.results_dir, Place)
    check_free_space(Path(cfg.results_dir) / cfg.experiment_name)


def folder_name(name: object) -> str:
    """Return an experiment's name as the name of one folder, without separators and short enough."""
    return re.sub(r"[^\w-]", "_", str(name)).encode()[:LONGEST_PART].decode(errors="ignore")


def weights_path(config: dict[str, Any]) -> Path:
    """Return the path of a cell's trained weights; a model of word pieces has the same weights at every V."""
    kept = {key: value for key, value in config.items() if key not in NO_WEIGHT}
    if config["system"].get("open_vocabulary"):
        kept = {key: value for key, value in kept.items() if key not in NO_PIECE}
        kept |= {"vocabulary": {"size": "any"}, "inputs": "pieces", "targets": None}
    return record_stem(config).parent / "weights" / f"{identity(kept)}.safetensors"


def weights_beside(record: Path, config: dict[str, Any]) -> Path:
    """Return the path of a cell's weights in the folder of its record, which may have been moved or renamed."""
    return record.parent / "weights" / weights_path(config).name


def system_of_cell(config: dict[str, Any]) -> str:
    """Return the name of a cell's system in tables, which says whether its inputs see the future."""
    leaks = config.get("inputs") == "contextual" and config["targets"].get("context") == "bidirectional"
    return config["system"]["name"] + (" (inputs see the future)" if leaks and "head" in config["system"] else "")


def identifying_fields(config: dict[str, Any]) -> dict[str, Any]:
    """Return the record fields that identify a cell."""
    system = config["system"]
    return {
        "experiment": config["experiment_name"],
        "system": system_of_cell(config),
        "head": system["head"]["_target_"].rsplit(".", 1)[-1] if "head" in system else None,
        "backbone": config["backbone"]["name"] if "head" in system else None,
        "corpus": config["corpus"]["name"],
        "vocabulary_size": config["vocabulary"]["size"],
        "seed": config["seed"],
    }
