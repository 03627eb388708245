"""Cost sweep of the encoder: one job measures each context of the target encoder, and writes an EncoderLedger."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import torch
from omegaconf import DictConfig

from bench.core.errors import SettingError
from bench.core.job import Job
from bench.core.paths import resolved_config
from bench.core.progress import Bar
from bench.core.settings import Count, Group, Settings
from bench.cost.encoder_drift import drifts
from bench.cost.encoder_rounds import drift_vectors, measure
from bench.cost.encoder_variants import EncoderVariant, EqualLengthReader, PlainReader, make_sample
from bench.cost.ledger import is_baseline, ledger_header, ledger_stem, measured_elsewhere
from bench.cost.schema import EncoderLedger, EncoderRow
from bench.data.corpus_cache import open_corpus
from bench.targets.encoder import Encoder
from bench.targets.encoder_files import weights_sha256
from bench.targets.tables import make_encoder
from bench.training.pretrained_weights import changed_folder, reason_to_repeat

EMBEDDED = "all-MiniLM-L6-v2"  # the encoder of targets.encoder=null


class EncoderCost(Group):
    words: Annotated[int, pydantic.Field(ge=256, le=2**17)]
    window: Annotated[int, pydantic.Field(ge=1, le=2**20)]
    device: Literal["cpu", "cuda"]
    rounds: Count


class EncoderSweepSettings(Settings):
    device: Literal["cpu", "cuda"]
    cost: EncoderCost


class EncoderSweep(Job[EncoderLedger]):
    """Measure the target encoder on the beginnings of a text's documents."""

    settings = EncoderSweepSettings
    result = EncoderLedger

    def record_stem(self, config: dict[str, Any]) -> Path:
        kept = {"cost": {key: value for key, value in config["cost"].items() if key != "rounds"}}
        kept |= {"corpus": config["corpus"], "seed": config["seed"]}
        kept["targets"] = {key: value for key, value in config["targets"].items() if key not in ("context", "level")}
        return ledger_stem(config, EncoderLedger.prefix, kept)

    def run(self, cfg: DictConfig) -> EncoderLedger:
        config = resolved_config(cfg)
        cost, stem = EncoderCost.model_validate(config["cost"]), self.record_stem(config)
        if "encoder" not in config["targets"]:
            problem = f"{config['targets']['name']} has no encoder to measure; choose targets=bert"
            raise SettingError("targets", problem)
        if cost.device == "cuda" and not torch.cuda.is_available():
            raise SettingError("device", "torch finds no CUDA device here; use device=cpu")
        corpus = open_corpus(cfg.corpus.source, cfg.cache_dir).trained_on(cfg.corpus.get("train_words"))
        sample, variants = make_sample(corpus, cost.words), encoder_variants(config)
        with Bar(stem.name) as bar:
            results = measure(variants, sample, cost.rounds, bar.show)
            bar.show(1.0, "drift")
            vectors = drift_vectors(results, sample, cost.window)
            drift = drifts(*vectors, seed=config["seed"]) if vectors else []
        rows = [result.row() for result in results]
        ledger = EncoderLedger(**header(config, variants[0].encoder, len(sample.text)), rows=rows, drift=drift)
        ledger.write(stem)
        return ledger

    def outdated(self, config: dict[str, Any], path: Path) -> str:
        ledger = EncoderLedger.read(path)
        source, recorded = config["targets"].get("encoder"), (ledger.weights_sha256, ledger.finished_at)
        changed = changed_folder(source, weights_sha256, *recorded)
        return reason_to_repeat(changed) or measured_elsewhere(ledger, config["cost"]["device"])

    def failure(self, config: dict[str, Any], error: SettingError) -> EncoderLedger:
        row = EncoderRow(contender="all", status="failed", reason=str(error))
        return EncoderLedger(**header(config, None, 0), rows=[row])

    def headline(self, result: EncoderLedger) -> str:
        rows = [row for row in result.rows if row.words_per_second and row.window == result.window]
        speeds = {row.contender: row.words_per_second[1] for row in rows if not is_baseline(row.contender)}
        return ", ".join(f"{context} {speed:,.0f} words/s" for context, speed in speeds.items())


def encoder_variants(config: dict[str, Any]) -> list[EncoderVariant]:
    """Return each context at `cost.window`, causal at `targets.window` too, and two baselines that a user would write.

    Raises:
        SettingError: an encoder that cannot be loaded.
    """

    def variant(name: str, context: str, window: int, **more: Any) -> EncoderVariant:
        settings = config["targets"] | {"context": context, "window": window}
        encoder = make_encoder(settings, config["cache_dir"], config["cost"]["device"])
        return EncoderVariant(name=name, encoder=encoder, **more)

    few, many = config["cost"]["window"], config["targets"].get("window", 0)
    variants = [
        variant("causal", "causal", many),
        variant("peer:plain batches", "causal", many, baseline=PlainReader),
        variant("prefix", "prefix", few),
        variant("peer:a forward a word, equal lengths", "prefix", few, baseline=EqualLengthReader),
        variant("bidirectional", "bidirectional", few),
    ]
    if many != few:
        variants.append(variant("causal", "causal", few))
    return variants


def header(config: dict[str, Any], encoder: Encoder | None, words: int) -> dict[str, Any]:
    """Return all fields of a ledger except its rows and drift.

    Args:
        encoder: None for a job that failed before its encoder was loaded.
        words: number of words measured on.
    """
    cost = config["cost"]
    return {
        "encoder": str(config["targets"].get("encoder") or EMBEDDED),
        "weights_sha256": encoder and encoder.weights_sha256,
        "corpus": config["corpus"]["name"],
        "words": words,
        "window": cost["window"],
        **ledger_header(
            config,
            device=cost["device"],
            precision=encoder.precision if encoder else config["targets"].get("precision", "auto"),
            rounds=cost["rounds"],
        ),
    }
