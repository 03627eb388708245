"""One configuration -> one EncoderLedger: what reading a text costs, context by context. `cost_encoder` runs it."""

from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from bench.core.errors import SettingError
from bench.core.paths import resolved_config
from bench.core.progress import Bar
from bench.core.provenance import ledger_header
from bench.cost.encoder_drift import drifts
from bench.cost.encoder_rounds import drift_vectors, measure
from bench.cost.encoder_variants import EncoderVariant, EqualLengthReader, PlainReader, make_sample
from bench.cost.ledger import stem
from bench.cost.schema import EncoderLedger, Reading
from bench.targets.encoder import Encoder
from bench.targets.tables import make_encoder

__all__ = ["failed", "finished", "headline", "read_record", "record_stem", "run"]

read_record, finished = EncoderLedger.read, EncoderLedger.finished

EMBEDDED = "all-MiniLM-L6-v2"  # what null stands for

PATIENCE = ("rounds",)  # no figure's meaning


def record_stem(config: dict[str, Any]) -> Path:
    """Where a configuration's ledger stands, without the suffix: named by all that its figures hang on."""
    kept = {"cost": {key: value for key, value in config["cost"].items() if key not in PATIENCE}}
    kept |= {"corpus": config["corpus"], "seed": config["seed"]}
    kept["targets"] = {key: value for key, value in config["targets"].items() if key not in ("context", "level")}
    return stem(config, EncoderLedger.begins, kept)


def run(cfg: DictConfig) -> EncoderLedger:
    """Measure, and write the file.

    Raises:
        SettingError: settings that cannot work; nothing was written.
    """
    config = resolved_config(cfg)
    cost, path = config["cost"], record_stem(config)
    if "encoder" not in config["targets"]:
        raise SettingError("targets", f"{config['targets']['name']} has no encoder to measure; choose targets=bert")
    if cost["device"] == "cuda" and not torch.cuda.is_available():
        raise SettingError("device", "torch finds no CUDA device here; use device=cpu")
    corpus = instantiate(cfg.corpus.source).trained_on(cfg.corpus.get("train_words"))
    sample = make_sample(corpus, cost["words"])
    every = variants(config)
    with Bar(path.name) as bar:
        results = measure(every, sample, cost["rounds"], bar.note)
        bar.note(1.0, "drift")
        vectors = drift_vectors(results, sample, cost["window"])
        drift = drifts(*vectors, seed=config["seed"]) if vectors else []
    ledger = EncoderLedger(
        **facts(config, every[0].encoder, len(sample.text)), rows=[each.row() for each in results], drift=drift
    )
    ledger.write(path)
    return ledger


def variants(config: dict[str, Any]) -> list[EncoderVariant]:
    """Return every context at `cost.window`, causal at `targets.window` too, and two baselines."""

    def variant(name: str, context: str, window: int, **more: Any) -> EncoderVariant:
        settings = config["targets"] | {"context": context, "window": window}
        return EncoderVariant(
            name=name, encoder=make_encoder(settings, config["cache_dir"], config["cost"]["device"]), **more
        )

    few, many = config["cost"]["window"], config["targets"].get("window", 0)
    found = [
        variant("causal", "causal", many),
        variant("peer:plain batches", "causal", many, baseline=PlainReader),
        variant("prefix", "prefix", few),
        variant("peer:a forward a word, equal lengths", "prefix", few, baseline=EqualLengthReader),
        variant("bidirectional", "bidirectional", few),
    ]
    if many != few:
        found.append(variant("causal", "causal", few))
    return found


def facts(config: dict[str, Any], encoder: Encoder | None, words: int) -> dict[str, Any]:
    """What the figures of a ledger hold for."""
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


def failed(config: dict[str, Any], error: SettingError) -> EncoderLedger:
    """What stands for a sweep's job whose settings cannot work."""
    row = Reading(contender="all", status="failed", reason=str(error))
    ledger = EncoderLedger(**facts(config, None, 0), rows=[row])
    ledger.write(record_stem(config))
    return ledger


def headline(ledger: EncoderLedger) -> str:
    """How it went, in a few words."""
    own = [row for row in ledger.rows if row.words_per_second and row.window == ledger.window]
    speeds = {row.contender: row.words_per_second[1] for row in own if not row.contender.startswith("peer:")}
    return ", ".join(f"{context} {speed:,.0f} words/s" for context, speed in speeds.items())
