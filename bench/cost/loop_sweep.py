"""One configuration -> one LoopLedger: a bare loop, Lightning's Trainer, and training as it is. `cost_loop` runs it."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from bench.core.errors import SettingError
from bench.core.history import ADDED_SINCE_LOOPS
from bench.core.paths import resolved_config
from bench.core.progress import Bar
from bench.core.provenance import ledger_header
from bench.cost.ledger import stem
from bench.cost.our_heads import systems
from bench.cost.schema import Loop, LoopLedger
from bench.cost.training_loops import LoopTimings, measure
from bench.training.budget import VALIDATION_SHARES

__all__ = ["failed", "finished", "headline", "read_record", "record_stem", "run"]

read_record, finished = LoopLedger.read, LoopLedger.finished

PATIENCE = ("rounds",)  # no figure's meaning

HANGS_ON = (
    "seed", "inputs", "vocabulary", "batch", "optimizer", "budget", "checkpoint", "corpus", "targets", "backbone",
    "trainer", "logger", "evaluation",
)  # fmt: skip


def record_stem(config: dict[str, Any]) -> Path:
    """Where a configuration's ledger stands, without the suffix: named by all that its figures hang on."""
    kept = {key: config[key] for key in HANGS_ON}
    kept["cost"] = {key: value for key, value in config["cost"].items() if key not in PATIENCE}
    kept["systems"] = [OmegaConf.to_container(cfg.system, resolve=True) for cfg in systems()]
    return stem(config, LoopLedger.begins, kept, ADDED_SINCE_LOOPS)


def run(cfg: DictConfig) -> LoopLedger:
    """Measure, and write the file.

    Raises:
        SettingError: settings that cannot work; nothing was written.
    """
    config = resolved_config(cfg)
    path, cases = record_stem(config), chosen(cfg)
    results: dict[str, LoopTimings] = {}
    with Bar(path.name) as bar:

        def show(share: float, text: str) -> None:
            bar.note((len(results) + share) / len(cases), text)

        for name, case in cases.items():
            results[name] = measure(case, show, bar)
    starts = [seconds for each in results.values() for seconds in each.logger_start]
    rows = [
        Loop(contender=name, status=each.status, reason=each.reason, **each.figures) for name, each in results.items()
    ]
    ledger = LoopLedger(**facts(config), logger_start_seconds=starts, rows=rows)
    ledger.write(path)
    return ledger


def chosen(cfg: DictConfig) -> dict[str, DictConfig]:
    """This configuration with every system that has a head, or with those that `cost.contenders` names.

    Raises:
        SettingError: a name that nobody has.
    """
    cases = {}
    for each in systems():
        cases[each.system.name] = cfg.copy()
        cases[each.system.name].system = each.system
    names = cfg.cost.contenders or list(cases)
    unknown = sorted(set(names) - set(cases))
    if unknown:
        raise SettingError("cost.contenders", f"there is no {unknown[0]}; choose of {', '.join(cases)}")
    return {name: cases[name] for name in cases if name in names}


def facts(config: dict[str, Any]) -> dict[str, Any]:
    """What the figures of a ledger hold for."""
    cost, budget, trainer = config["cost"], config["budget"], config["trainer"]
    on_gpu = torch.cuda.is_available() and trainer["accelerator"] in ("auto", "gpu", "cuda")
    limits = [f"{budget[unit]:,} {unit}" for unit in ("words", "seconds") if budget[unit] is not None]
    return {
        "corpus": config["corpus"]["name"],
        "vocabulary_size": config["vocabulary"]["size"],
        "backbone": config["backbone"]["name"],
        "hidden_size": config["backbone"]["trunk"]["hidden_size"],
        "words": cost["words"],
        "budget": " or ".join(limits),
        "looks": len(VALIDATION_SHARES),
        "checkpoint_seconds": config["checkpoint"]["seconds"],
        "logger": config["logger"]["_target_"].rsplit(".", 1)[-1],
        **ledger_header(
            config, device="cuda" if on_gpu else "cpu", precision=trainer["precision"], rounds=cost["rounds"]
        ),
    }


def failed(config: dict[str, Any], error: SettingError) -> LoopLedger:
    """What stands for a sweep's job whose settings cannot work."""
    row = Loop(contender="all", status="failed", reason=str(error))
    ledger = LoopLedger(**facts(config), logger_start_seconds=[], rows=[row])
    ledger.write(record_stem(config))
    return ledger


def headline(ledger: LoopLedger) -> str:
    """How it went, in a few words."""
    return f"{ledger.measured} systems measured"
