"""Run one cell: train or load its model, evaluate, time, write the record."""

import dataclasses
import gc
import traceback
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning_fabric.utilities import move_data_to_device
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger

from bench.core.errors import SettingError, one_line, status_of, unwrap
from bench.core.files import write_atomically
from bench.core.job import Job
from bench.core.paths import identifying_fields, record_stem, resolved_config
from bench.core.provenance import now, reproducibility_fields
from bench.core.record import POSITIONS, Record, write_record
from bench.core.secrets import scrub
from bench.cost.flops import training_flops
from bench.cost.run_cost import decoding_cost, training_cost
from bench.evaluation.generation import generate, read_prompt
from bench.evaluation.metrics import quality
from bench.evaluation.score import Scored, score, validation_quality
from bench.training.build import Built, build_cell
from bench.training.loggers import mirror, mirroring
from bench.training.train import train_or_load


class CellJob(Job[Record]):
    """Train and evaluate one system: the cell of a quality sweep."""

    result = Record

    def record_stem(self, config: dict[str, Any]) -> Path:
        return record_stem(config)

    def run(self, cfg: DictConfig) -> Record:
        return run(cfg)

    def failure(self, config: dict[str, Any], error: SettingError) -> Record:
        fields = identifying_fields(config)
        return Record(**fields, config=config, status="failed", reason=str(error), finished_at=now())

    def headline(self, result: Record) -> str:
        return f"{result.bits_per_byte:.3f} bits per byte"


def run(cfg: DictConfig) -> Record:
    """Run one cell and write its record, whole or not at all.

    Raises:
        SettingError: settings that cannot work; nothing was written.
    """
    config = resolved_config(cfg)
    stem = record_stem(config)
    unfinished = Record(**identifying_fields(config), **reproducibility_fields(config))
    try:
        built = build_cell(cfg)
        logger = instantiate(cfg.logger, _partial_=True)(folder=stem.parent, cell=stem.name, config=config)
        with mirroring(logger):
            figures, scored = measure(cfg, config, built, logger)
            record = dataclasses.replace(unfinished, **figures, finished_at=now())
            write_record(record, stem, {name: getattr(scored, name) for name in POSITIONS})
            mirror(logger, record)
    except Exception as raised:
        error = unwrap(raised)
        status = status_of(error)
        if status is None:
            raise error from None
        trace = stem.parent / "logs" / f"{stem.name}.txt"
        write_atomically(trace, lambda file: file.write(scrub(traceback.format_exc()).encode()))
        reason = f"{one_line(error)} (trace: {trace})"
        record = dataclasses.replace(unfinished, status=status, reason=reason, finished_at=now())
        write_record(record, stem)
        del error  # its traceback holds the frames, and they hold the cell's tensors
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # so that the next cell of this process finds unfragmented memory
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
        figures |= training | training_cost(built.model, move_data_to_device(batch, device))
    judged = built.judged
    figures["validation_nats"] = validation_quality(built.model, judged)["validation_nats"]
    scored = score(built.model, judged)
    figures |= quality(scored, judged.vocabulary, judged.test, search_words=judged.search_words)
    figures["is_density"] = built.model.is_density
    figures |= decoding_cost(built.model, judged)
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
