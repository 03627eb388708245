"""Run one cell: train or load its model, evaluate, time, write the record."""

import contextlib
import dataclasses
import gc
import traceback
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device
from omegaconf import DictConfig

from bench.core.errors import SettingError, one_line, status_of, unwrap
from bench.core.files import write_atomically
from bench.core.job import Job
from bench.core.paths import identifying_fields, record_stem, resolved_config
from bench.core.progress import print_line
from bench.core.provenance import now, reproducibility_fields
from bench.core.record import POSITIONS, Record, write_record
from bench.core.secrets import scrub
from bench.core.source_hash import made_by_other_code
from bench.core.stored_result import json_path, trace_path
from bench.cost.flops import training_flops
from bench.cost.record_costs import decode_latency, training_cost
from bench.data.vocabulary import Vocabulary
from bench.evaluation.calibration import Calibration
from bench.evaluation.evaluator import Evaluator, evaluator_of
from bench.evaluation.generation import prompts_of
from bench.evaluation.quality import quality
from bench.evaluation.score import ScoredText
from bench.training.build import Built, build_cell
from bench.training.cell_logger import CellLogger
from bench.training.loggers import cell_logger, log_finished
from bench.training.pretrained_weights import reason_to_repeat, replaced_weights
from bench.training.train import continues_training, train_or_load


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

    def summary(self, result: Record) -> dict[str, str]:
        figures = {
            "accuracy@1": (result.accuracy_at_1, ".4f"),
            "bits per byte": (result.bits_per_byte, ".4f"),
            "training seconds": (result.train_seconds, ",.1f"),
        }
        return {heading: "–" if value is None else format(value, form) for heading, (value, form) in figures.items()}

    def outdated(self, config: dict[str, Any], path: Path) -> str:
        record = Record.read(path)
        if made_by_other_code(record.source_sha256, config):
            return "made by other code"
        return reason_to_repeat(replaced_weights(config, record))

    def log(self, config: dict[str, Any], stem: Path, result: Record) -> None:
        log_finished(config, stem, result)


def run(cfg: DictConfig) -> Record:
    """Run one cell and write its record, whole or not at all.

    Raises:
        SettingError: settings that cannot work; nothing was written.
    """
    spare_modules()
    config = resolved_config(cfg)
    stem = record_stem(config)
    unfinished = Record(**identifying_fields(config), **reproducibility_fields(config))
    with contextlib.ExitStack() as stack:
        logger = None
        start_logger = partial(cell_logger, config, stem)
        try:
            built = build_cell(cfg)
            size = len(built.evaluation_data.vocabulary)  # the setting may be null
            unfinished = dataclasses.replace(unfinished, vocabulary_size=size)
            pretrained = pretrained_fields(built)  # before training changes a pre-trained model
            resume = continues_training(cfg, config, pretrained["weights_sha256"])
            logger = stack.enter_context(start_logger(resume=resume))
            figures, scored = measure(cfg, config, built, pretrained, logger)
            record = dataclasses.replace(unfinished, **figures, finished_at=now())
            write_record(record, stem, {name: getattr(scored, name) for name in POSITIONS})
        except Exception as raised:
            record = write_failure(unfinished, stem, raised)
        if logger is None:  # the model could not be built; started here, where the exception's tensors are freed
            logger = stack.enter_context(start_logger(resume=False))
        if logger is not None:
            logger.log_record(record)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # so that the next cell of this process finds unfragmented memory
    return record


@cache
def spare_modules() -> None:
    """Exclude objects of imported modules from garbage collection, which would scan them twice per cell: 0.5 s."""
    gc.freeze()


def write_failure(unfinished: Record, stem: Path, raised: Exception) -> Record:
    """Write the record of a cell that failed, unless a sound one would be replaced, and its traceback into `logs/`.

    Raises:
        SettingError: the user's settings cannot work; nothing was written.
    """
    error = unwrap(raised)
    status = status_of(error)
    if status is None:
        raise error from None
    trace = trace_path(stem)
    write_atomically(trace, lambda file: file.write(scrub(traceback.format_exc()).encode()))
    reason = f"{one_line(error)} (trace: {trace})"
    record = dataclasses.replace(unfinished, status=status, reason=reason, finished_at=now())
    if is_sound(json_path(stem)):
        print_line(f"{stem.name}: this run failed; the record of an earlier run, which succeeded, is kept")
    else:
        write_record(record, stem)
    return record


def is_sound(path: Path) -> bool:
    """True if the file holds the record of a cell that succeeded."""
    try:
        return Record.finished(path)
    except SettingError:  # damaged, or of another version
        return False


def measure(
    cfg: DictConfig, config: dict[str, Any], built: Built, pretrained: dict[str, Any], logger: CellLogger | None
) -> tuple[dict[str, Any], ScoredText]:
    """Train or load a model; return all fields of its record about quality and cost, and its per-position values.

    Args:
        pretrained: fields of the record about pre-trained weights (`pretrained_fields`).
    """
    model, data = built.model, built.evaluation_data
    corpus = data.vocabulary.corpus
    figures: dict[str, Any] = {"corpus_sha256": corpus.digest, "text_words": len(corpus.train), **pretrained}
    if corpus.language is not None:
        figures["entropy_rate_bits"] = corpus.language.entropy_rate_bits
    if built.datamodule is not None:
        batch = next(iter(built.datamodule.train_dataloader()))
        figures |= training_flops(model, built.targets, batch)
        known = figures["flops_per_position"], figures["weights_sha256"]
        trainer, training = train_or_load(cfg, config, built, *known, logger)
        device, precision = trainer.strategy.root_device, trainer.precision_plugin.forward_context
        model.to(device)  # training and loading leave the model on the CPU
        figures |= training | training_cost(model, move_data_to_device(batch, device), precision)
    evaluator = evaluator_of(model)
    figures["validation_nats"] = evaluator.validation_nats(data)
    scored = evaluator.score(data)
    figures |= quality(scored, data.vocabulary, data.test, search_words=data.search_words)
    figures["is_density"] = model.is_density
    figures |= decode_latency(evaluator, data)
    figures["generations"] = continuations(cfg, evaluator, data.vocabulary, scored.calibration)
    return figures, scored


def pretrained_fields(built: Built) -> dict[str, Any]:
    """Return the hash of pre-trained weights and the seconds of encoding: of the model, or else of its targets."""
    source = built.model if built.model.weights_sha256 or built.targets is None else built.targets
    return {"weights_sha256": source.weights_sha256, "encode_seconds": source.encode_seconds}


def continuations(
    cfg: DictConfig, evaluator: Evaluator, vocabulary: Vocabulary, calibration: Calibration | None
) -> list[dict[str, str]]:
    """Continue each prompt twice: by the likeliest (nearest) words, and by calibrated draws."""
    rows = []
    if not evaluator.model.writes:
        return rows
    for prompt, start in prompts_of(vocabulary, cfg.generation.prompts, lowercase=cfg.corpus.lowercase):
        options = {"calibration": calibration, "seed": cfg.seed}
        texts = {
            way: evaluator.generate(vocabulary, start, cfg.generation.words, greedy=way == "greedy", **options)
            for way in ("greedy", "sampled")
        }
        rows.append({"prompt": prompt, **{way: " ".join(text) for way, text in texts.items()}})
    return rows
