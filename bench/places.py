"""One configuration -> what its cell is called and where its record and weights stand."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bench.corpus import content_sha256
from bench.record import identity

NO_WEIGHT = {"generation", "evaluation"}  # settings that no trained weight hangs on
NO_PIECE = {"backbone", "batch", "inputs", "targets"}  # and those that a model of word pieces does not read


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain data, every reference followed."""
    return OmegaConf.to_container(cfg, resolve=True)


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """The same, and a user's text named by its content."""
    config = plain(cfg)
    if config["corpus"].get("path") is not None:
        config["corpus"]["content_sha256"] = content_sha256(config["corpus"]["path"])
    return config


def place(config: dict[str, Any]) -> Path:
    """Where a configuration's record stands, without the suffix."""
    return Path(config["results_dir"]) / config["experiment_name"] / identity(config)


def weights_place(config: dict[str, Any]) -> Path:
    """Where its trained weights stand: a model of word pieces is the same one at every vocabulary size."""
    kept = {key: value for key, value in config.items() if key not in NO_WEIGHT}
    if config["system"].get("open_vocabulary"):
        kept = {key: value for key, value in kept.items() if key not in NO_PIECE}
        kept |= {"vocabulary": {"size": "any"}, "inputs": "pieces", "targets": None}
    return place(config).parent / "weights" / f"{identity(kept)}.safetensors"


def identifying(config: dict[str, Any]) -> dict[str, Any]:
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
