"""Cost sweep of the training loop: a bare loop, Lightning's Trainer and this project's training, in a LoopLedger."""

from pathlib import Path
from typing import Annotated, Any

import pydantic
from omegaconf import DictConfig, OmegaConf

from bench.core.errors import SettingError
from bench.core.history import ADDED_SINCE_LOOPS
from bench.core.job import Job
from bench.core.paths import resolved_config
from bench.core.progress import Bar
from bench.core.provenance import trains_on_gpu
from bench.core.settings import Count, Group, Settings, SizedVocabulary
from bench.cost.contender import selected_names
from bench.cost.ledger import ledger_header, ledger_stem, measured_elsewhere
from bench.cost.our_heads import identifying_systems, systems
from bench.cost.schema import LoopLedger, LoopRow
from bench.cost.training_loops import LoopTimings, measure
from bench.training.budget import VALIDATION_SHARES

DEPENDS_ON = (
    "seed", "inputs", "vocabulary", "batch", "optimizer", "budget", "checkpoint", "corpus", "targets", "backbone",
    "trainer", "logger", "evaluation",
)  # fmt: skip

# Learning rates change no time. Ledgers are named after the first published rates of systems that have others today.
FIRST_RATES = {"vmf": {"lr": 4e-3}}


class LoopCost(Group):
    contenders: list[str] | None
    words: Annotated[int, pydantic.Field(ge=256, le=2**17)]
    rounds: Count


class LoopSweepSettings(Settings):
    vocabulary: SizedVocabulary
    cost: LoopCost


class LoopSweep(Job[LoopLedger]):
    """Measure the training loop of each selected system."""

    settings = LoopSweepSettings
    result = LoopLedger

    def record_stem(self, config: dict[str, Any]) -> Path:
        kept = {key: config[key] for key in DEPENDS_ON}
        kept["cost"] = {key: value for key, value in config["cost"].items() if key != "rounds"}
        configs = [OmegaConf.to_container(cfg.system, resolve=True) for cfg in identifying_systems()]
        kept["systems"] = [each | FIRST_RATES.get(each["name"], {}) for each in configs]
        return ledger_stem(config, LoopLedger.prefix, kept, ADDED_SINCE_LOOPS)

    def run(self, cfg: DictConfig) -> LoopLedger:
        config = resolved_config(cfg)
        stem, cells = self.record_stem(config), selected_cells(cfg)
        results: dict[str, LoopTimings] = {}
        with Bar(stem.name) as bar:

            def show(share: float, text: str) -> None:
                bar.show((len(results) + share) / len(cells), text)

            for name, cell in cells.items():
                results[name] = measure(cell, show, bar)
        starts = [seconds for each in results.values() for seconds in each.logger_start]
        rows = [
            LoopRow(contender=name, status=each.status, reason=each.reason, **each.figures)
            for name, each in results.items()
        ]
        ledger = LoopLedger(**header(config), logger_start_seconds=starts, rows=rows)
        ledger.write(stem)
        return ledger

    def failure(self, config: dict[str, Any], error: SettingError) -> LoopLedger:
        row = LoopRow(contender="all", status="failed", reason=str(error))
        return LoopLedger(**header(config), logger_start_seconds=[], rows=[row])

    def outdated(self, config: dict[str, Any], path: Path) -> str:
        return measured_elsewhere(LoopLedger.read(path), "cuda" if trains_on_gpu(config) else "cpu")

    def headline(self, result: LoopLedger) -> str:
        return f"{result.measured} systems measured"


def selected_cells(cfg: DictConfig) -> dict[str, DictConfig]:
    """Return this configuration with every system that has a head, or with those that `cost.contenders` names.

    Raises:
        SettingError: a name that no such system has.
    """
    cells = {}
    for each in systems():
        cells[each.system.name] = cfg.copy()
        cells[each.system.name].system = each.system
    return {name: cells[name] for name in selected_names(list(cells), cfg.cost.contenders or None)}


def header(config: dict[str, Any]) -> dict[str, Any]:
    """Return all fields of a ledger except its rows and the logger's start times."""
    cost, budget, trainer = config["cost"], config["budget"], config["trainer"]
    on_gpu = trains_on_gpu(config)
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
