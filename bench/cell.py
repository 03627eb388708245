"""One configuration -> one Record: train or load, evaluate, time, write."""

import dataclasses
import json
import traceback
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger
from safetensors import safe_open
from safetensors.torch import load_model, save_model
from torch.utils._pytree import tree_map

from bench.build import Built, build
from bench.corpus import content_sha256
from bench.cost import decoding_cost, training_cost, training_flops
from bench.errors import SettingError
from bench.evaluation.generation import generate, read_prompt
from bench.evaluation.metrics import quality
from bench.evaluation.score import Scored, glance, score
from bench.loggers import mirror, mirroring
from bench.progress import Bar
from bench.provenance import now, reproducing
from bench.record import POSITIONS, Record, atomically, identity, write
from bench.training import Budget, Diverged

QUIET = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain data, every reference followed, and a user's text named by its content."""
    config = OmegaConf.to_container(cfg, resolve=True)
    if config["corpus"].get("path"):
        config["corpus"]["content_sha256"] = content_sha256(config["corpus"]["path"])
    return config


def place(config: dict[str, Any]) -> Path:
    """Where a configuration's record stands, without the suffix."""
    return Path(config["results_dir"]) / config["experiment_name"] / identity(config)


def weights_place(config: dict[str, Any]) -> Path:
    """Where its trained weights stand: a model of word pieces is the same one at every vocabulary size."""
    irrelevant = {"generation", "evaluation"}
    if config["system"].get("open_vocabulary"):
        irrelevant |= {"backbone", "batch"}
        config = {**config, "vocabulary": {"size": "any"}}
    config = {key: value for key, value in config.items() if key not in irrelevant}
    return place(config).parent / "weights" / f"{identity(config)}.safetensors"


def run(cfg: DictConfig) -> Record:
    """Run one cell and write its record, whole or not at all.

    Raises:
        SettingError: settings that cannot work; nothing was written.
    """
    config = resolved(cfg)
    stem = place(config)
    record = Record(**identifying(config), **reproducing(config))
    try:
        built = build(cfg)
        logger = instantiate(cfg.logger, _partial_=True)(folder=stem.parent, cell=stem.name, config=config)
        with mirroring(logger):
            found, scored = measure(cfg, config, built, logger)
            record = dataclasses.replace(record, **found, finished_at=now())
            write(record, stem, {name: getattr(scored, name) for name in POSITIONS})
            mirror(logger, record)
    except Exception as raised:
        # Hydra wraps what the objects that it makes raise
        error = raised.__cause__ or raised if isinstance(raised, InstantiationException) else raised
        status = status_of(error)
        if status is None:
            raise error from None
        trace = stem.parent / "logs" / f"{stem.name}.txt"
        atomically(trace, lambda file: file.write(traceback.format_exc().encode()))
        reason = f"{one_line(error)} (trace: {trace})"
        record = dataclasses.replace(record, status=status, reason=reason, finished_at=now())
        write(record, stem)
    return record


def failed(config: dict[str, Any], error: SettingError) -> Record:
    """The record of a sweep's cell whose settings cannot work."""
    record = Record(**identifying(config), config=config, status="failed", reason=str(error), finished_at=now())
    if isinstance(record.vocabulary_size, int):  # a table is ordered by it
        write(record, place(config))
    return record


def measure(
    cfg: DictConfig, config: dict[str, Any], built: Built, logger: Logger | None
) -> tuple[dict[str, Any], Scored]:
    """Everything a record says of quality and cost, and the values a position."""
    corpus = built.judged.vocabulary.corpus
    figures: dict[str, Any] = {"corpus_sha256": corpus.digest, **reading(built)}
    if corpus.language is not None:
        figures["entropy_rate_bits"] = corpus.language.entropy_rate_bits
    if built.data is not None:
        batch = next(iter(built.data.train_dataloader()))
        figures |= training_flops(built.model, built.targets, batch)
        device, training = train_or_load(cfg, config, built, figures["flops_per_position"], logger)
        built.model.to(device)  # training and loading leave it on the CPU
        figures |= training | training_cost(built.model, tree_map(lambda each: to(each, device), batch))
    figures["validation_nats"] = glance(built.model, built.judged)["validation_nats"]
    scored = score(built.model, built.judged)
    judged = built.judged
    figures |= quality(scored, judged.vocabulary, judged.test, search_words=judged.search_words)
    figures["is_density"] = built.model.is_density
    figures |= decoding_cost(built.model, built.judged)
    figures["generations"] = continuations(cfg, built, scored)
    return figures, scored


def reading(built: Built) -> dict[str, Any]:
    """Whose weights the run stands on, and what encoding the training text with them took."""
    inputs = getattr(built.model, "inputs", None)
    if inputs is not None and inputs.encoder is not None:
        seconds = inputs.encoder.encode(built.judged.vocabulary.corpus, "train").seconds
        return {"weights_sha256": inputs.encoder.weights_sha256, "encode_seconds": seconds}
    source = built.targets or built.model
    return {
        "weights_sha256": getattr(source, "weights_sha256", None),
        "encode_seconds": getattr(source, "encode_seconds", None),
    }


def to(value: Any, device: torch.device) -> Any:
    """Tensors of a batch go to the device; what else it holds stays."""
    return value.to(device) if isinstance(value, torch.Tensor) else value


def train_or_load(
    cfg: DictConfig, config: dict[str, Any], built: Built, flops_per_position: float, logger: Logger | None
) -> tuple[torch.device, dict[str, Any]]:
    """Trains within the budget and keeps the weights, or finds them kept, with what training took beside them."""
    path = weights_place(config)
    if path.is_file() and not cfg.force:
        load_model(built.model, path)
        with safe_open(path, "pt") as file:
            training = json.loads(file.metadata()["training"])
        return pl.Trainer(**instantiate(cfg.trainer), logger=False, **QUIET).strategy.root_device, training
    with Bar(place(config).name) as bar:
        budget = Budget(
            words=cfg.budget.words,
            seconds=cfg.budget.seconds,
            look=lambda model: glance(model, built.judged),
            flops_per_position=flops_per_position,
            gradient_clip=cfg.optimizer.gradient_clip,
            bar=bar,
        )
        trainer = pl.Trainer(
            **instantiate(cfg.trainer),
            logger=logger or False,
            callbacks=[budget],
            max_epochs=1,  # of an endless stream: the budget ends it
            **QUIET,
        )
        trainer.fit(built.model, built.data)
    training = {
        "trained_words": budget.spent["words"],
        "train_seconds": budget.spent["seconds"],
        "train_ms_per_1k": budget.train_ms_per_1k,
        "curve": budget.curve,
    }
    keep(built.model, path, training)
    return trainer.strategy.root_device, training


def keep(model: torch.nn.Module, path: Path, training: dict[str, Any]) -> None:
    """Weights and what training them took, in one file, whole or not at all."""
    temporary = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, temporary, metadata={"training": json.dumps(training)})
    temporary.replace(path)


def continuations(cfg: DictConfig, built: Built, scored: Scored) -> list[dict[str, str]]:
    """The same prompts for every system: the likeliest (nearest) words, and calibrated draws."""
    vocabulary = built.judged.vocabulary
    rows = []
    for prompt in cfg.generation.prompts:
        start = read_prompt(vocabulary.corpus, prompt, lowercase=cfg.corpus.lowercase)
        how = {"calibration": scored.calibration, "seed": cfg.seed}
        texts = {
            way: generate(built.model, vocabulary, start, cfg.generation.words, greedy=way == "greedy", **how)
            for way in ("greedy", "sampled")
        }
        rows.append({"prompt": prompt, **{way: " ".join(text) for way, text in texts.items()}})
    return rows


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


def status_of(error: Exception) -> str | None:
    """A failure that a record can hold; None for what the user has to mend first."""
    if isinstance(error, SettingError):
        return None
    if isinstance(error, Diverged):
        return "diverged"
    exhausted = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
    return "oom" if exhausted else "failed"


def one_line(error: Exception) -> str:
    """An exception as a reader of the leaderboard may see it."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
